"""Steps in columns that are never formed: exact whatever rounding did to the Gram matrix, and cut as is best."""

from __future__ import annotations

import math

import numpy as np
import pytest

from matode import AugmentedBUG, LowRank, Rank, Relative, State
from matode._array import get_backend, to_host
from matode.evaluations import DenseEvaluation, Thin
from matode.integrators import columns as columns_module
from matode.integrators import unformed
from matode.integrators.columns import columns
from matode.integrators.unformed import by_rows
from matode.integrators.wide import Wide
from matode.substeps import euler
from nn import GradientFlow, mlp_of
from nn.factored import Outer
from tests.backends import assert_at_home, send

EPS = {"float64": 2.3e-16, "complex128": 2.3e-16, "float32": 1.2e-7}
M, N = 50, 40
NUMPY = get_backend()


def _normal(rng, shape, dtype):
    return rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype == "complex128" else 0)


def _basis(rng, m, p, dtype):
    return np.linalg.qr(_normal(rng, (m, p), dtype))[0]


def _rows(case, rng, b, k, dtype):
    rows = _normal(rng, (b, k), dtype)
    match case:
        case "sizes":
            rows *= np.geomspace(1.0, 1e-6, b)[rng.permutation(b), None]
        case "zero row":
            rows[rng.integers(b)] = 0.0
        case "nearly repeated":
            rows[-2:] = rows[:2] * (1.0 + 1e-7 * rng.standard_normal((2, k)))
        case "repeated":
            rows[-2:] = rows[:2]
    return rows


def _problem(case, r, b, dtype, seed=0, shape=(M, N)):
    """Return U, S, V and the rows d and x, on the host."""
    rng = np.random.default_rng(seed)
    (m, n), (p, q) = shape, np.broadcast_to(r, 2)
    S = _normal(rng, (p, q), dtype) if p != q else np.diag(np.geomspace(1.0, 1e-2, p))
    parts = _basis(rng, m, p, dtype), S, _basis(rng, n, q, dtype)
    return [X.astype(dtype) for X in (*parts, _rows(case, rng, b, m, dtype), _rows(case, rng, b, n, dtype))]


def _step(backend, parts, h, negligible=0.0):
    """Return the step in columns that are not formed, and the list that grows whenever they are formed after all."""
    U, S, V, d, x = (send(backend, X) for X in parts)
    calls = []

    def formed():
        calls.append(1)
        U, S, V, d, x = (np.asarray(X, dtype=np.result_type(X, "float64")) for X in parts)
        wide = [np.linalg.qr(np.concatenate([B, X.conj().T], axis=1))[0] for B, X in ((U, d), (V, x))]
        core = wide[0].conj().T @ (U @ S @ V.conj().T + h * d.conj().T @ x) @ wide[1]
        wide = (send(backend, X, parts[0].dtype.name) for X in (wide[0], core, wide[1]))
        return Wide(*((X,) if i != 1 else X for i, X in enumerate(wide)))

    return by_rows(Thin(d, x, d @ U, x @ V), h, LowRank(U, S, V), negligible, formed), calls


def _double(X):
    X = to_host(X)
    return X.astype(np.result_type(X, "float64"))


def _columns(c):
    """Return ``[U, N T]`` in double precision."""
    U, X, T = (_double(part) for part in (c.U, c.X, c.T))
    N = X if c.inside is None else X - U @ _double(c.inside)
    return np.concatenate([U, N @ T], axis=1)


def _met(c):
    """Return what the rows meet of the new columns."""
    return _double(c.coordinates)[:, c.U.shape[1] :]


def _dense(step):
    return _columns(step.left) @ _double(step.S) @ _columns(step.right).conj().T


def _euler(parts, h):
    U, S, V, d, x = (_double(X) for X in parts)
    return U @ S @ V.conj().T + h * (d.conj().T @ x)


def _size(parts, h):
    """Return what rounding is relative to."""
    return np.linalg.norm(parts[1]) + abs(h) * np.linalg.norm(parts[3]) * np.linalg.norm(parts[4])


def _defect(X):
    X = _double(X)
    return np.linalg.norm(X.conj().T @ X - np.eye(X.shape[1]))


CASES = ("generic", "sizes", "zero row", "nearly repeated", "repeated")


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("r", "b", "h"), [(6, 6, 0.1), (6, 4, -0.1), ((5, 7), 5, 0.1), ((7, 5), 5, 0.1)])
def test_few_rows_give_the_euler_step_itself(backend, case, dtype, r, b, h):
    parts = _problem(case, r, b, dtype)
    step, calls = _step(backend, parts, h)
    assert np.linalg.norm(_dense(step) - _euler(parts, h)) <= 4 * EPS[dtype] * _size(parts, h)
    for c, rows in ((step.left, parts[3]), (step.right, parts[4])):
        assert c.T.shape == _met(c).shape == (b, np.count_nonzero(rows.any(axis=1)))
        assert np.linalg.norm(_columns(c), 2) <= 1.1
    assert not calls


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize(("r", "b"), [(6, 7), (6, 11), (6, 12), (6, 30), ((5, 7), 8), ((5, 7), 12), ((5, 7), 19)])
def test_more_rows_give_the_projected_step(backend, dtype, r, b):
    parts, h = _problem("generic", r, b, dtype), 0.1
    step, _ = _step(backend, parts, h)
    U, _, V, d, x = (_double(X) for X in parts)
    left = np.linalg.qr(np.concatenate([U, d.conj().T @ (x @ V)], axis=1))[0]
    right = np.linalg.qr(np.concatenate([V, x.conj().T @ (d @ U)], axis=1))[0]
    for c, wide in ((step.left, left), (step.right, right)):
        assert _columns(c).shape == wide.shape
        assert _defect(_columns(c)) <= 1e3 * EPS[dtype]
    expected = left @ (left.conj().T @ _euler(parts, h) @ right) @ right.conj().T
    assert np.linalg.norm(_dense(step) - expected) <= 100 * EPS[dtype] * _size(parts, h)


def test_no_rows_take_columns_that_are_formed():
    assert _step(NUMPY, _problem("generic", 6, 0, "float64"), 0.1)[0] is None


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", ["generic", "sizes", "zero row"])
@pytest.mark.parametrize(("r", "rank"), [(6, 6), (6, 8), (20, 20), (66, 66)])
def test_a_cut_is_the_best_one(monkeypatch, backend, case, dtype, r, rank):
    if case == "generic" and r < 60 and (dtype == "float32" or rank == r):  # else near what counts as rounding
        monkeypatch.setattr(columns_module, "reorthonormalise", None)
    b, h, shape = 5, 0.05, (M + 2 * r, N + 2 * r)
    parts = _problem(case, r, b, dtype, shape=shape)
    step, calls = _step(backend, parts, h)
    y, s, discarded = step.truncated(Rank(rank))
    whole, rounding = _euler(parts, h), EPS[dtype] * _size(parts, h)
    values = np.linalg.svd(whole, compute_uv=False)
    for X in (y.U, y.S, y.V):
        assert_at_home(X, backend, dtype)
        assert X.shape[1] == rank
    assert max(_defect(y.U), _defect(y.V)) <= 8 * EPS[dtype] * math.sqrt(rank)
    assert np.abs(s - values[:rank]).max() <= 20 * rounding
    assert abs(discarded - np.linalg.norm(values[rank:])) <= 20 * rounding
    assert np.linalg.norm(_double(y.to_dense()) - whole) <= discarded + 20 * rounding
    assert not calls


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("rule", [Relative(0.0), Relative(1e-7), Rank(11)])
@pytest.mark.parametrize("case", CASES)
def test_a_rule_that_keeps_everything_keeps_it_in_orthonormal_bases(backend, case, rule, dtype):
    parts, h = _problem(case, 6, 5, dtype), 0.1
    step, calls = _step(backend, parts, h)
    y, s, discarded = step.truncated(rule)
    assert max(_defect(y.U), _defect(y.V)) <= 8 * EPS[dtype] * math.sqrt(len(s))
    assert np.linalg.norm(_double(y.to_dense()) - _euler(parts, h)) <= discarded + 20 * EPS[dtype] * _size(parts, h)
    assert discarded <= (1e-7 if rule == Relative(1e-7) else 10 * EPS[dtype]) * _size(parts, h)
    if case == "generic":
        assert not calls
    elif case == "repeated" and rule == Rank(11):
        assert calls == [1]


@pytest.mark.parametrize("negligible", [0.0, 0.1])
@pytest.mark.parametrize(
    ("m", "n", "b"), [(9, 40, 3), (40, 9, 3), (9, 8, 5), (9, 40, 8), (6, 6, 2), (10, 10, 5), (12, 40, 8)]
)
def test_a_short_room_is_filled_by_columns_that_are_formed(backend, m, n, b, negligible):
    parts = _problem("generic", 5, b, "float64", shape=(m, n))
    U, S, V, d, x = (send(backend, X) for X in parts)
    assert (columns(U, d, d @ U, x @ V, negligible=negligible) is None) == (5 + min(b, 5) > m)
    integrator = AugmentedBUG(euler, Rank(5), negligible)
    found, plain = (
        integrator.step(lambda t, Y, F=F: [F], 0.0, 0.1, State([LowRank(U, S, V)])).Y[0].to_dense()
        for F in (Outer(d, x), DenseEvaluation(d.mT @ x))
    )
    assert np.linalg.norm(to_host(found) - to_host(plain)) <= 1e-13 * _size(parts, 0.1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", ["d", "x", "both"])
def test_directions_that_are_noise_are_formed(monkeypatch, backend, case, dtype):
    monkeypatch.setattr(
        columns_module, "orthonormality_estimate", lambda W: 0.0
    )  # which random vectors may fail to show
    parts, h = _problem("generic", 6, 4, dtype), 0.1
    for name, i, B in (("d", 3, parts[0]), ("x", 4, parts[2])):
        if case in (name, "both"):
            parts[i] = (parts[i] @ B @ B.conj().T).astype(dtype)
    step, calls = _step(backend, parts, h)
    assert np.linalg.norm(_dense(step) - _euler(parts, h)) <= 4 * EPS[dtype] * _size(parts, h)
    y, s, discarded = step.truncated(Rank(10))
    assert calls == [1]
    assert max(_defect(y.U), _defect(y.V)) <= 8 * EPS[dtype] * math.sqrt(len(s))
    assert np.linalg.norm(_double(y.to_dense()) - _euler(parts, h)) <= discarded + 10 * EPS[dtype] * _size(parts, h)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", EPS)
def test_many_rows_in_the_old_basis_take_columns_that_are_formed(backend, dtype):
    parts = _problem("generic", 6, 9, dtype)
    parts[3] = (parts[3] @ parts[0] @ parts[0].conj().T).astype(dtype)
    assert _step(backend, parts, 0.1)[0] is None


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("b", [4, 9])
def test_directions_below_the_rounding_of_the_whole_are_left_out(backend, b, dtype):
    rng = np.random.default_rng(9)
    parts = _problem("generic", 6, b, dtype)
    for h in (1e-3 * EPS[dtype], -1e-3 * EPS[dtype]):
        step, _ = _step(backend, parts, h, 0.01)
        assert step.left.T.shape[1] == step.right.T.shape[1] == 0
    Q = _basis(rng, M, 6 + b, dtype)
    U, X, mixing = Q[:, :6], Q[:, 6:] * np.geomspace(1.0, 1e-3, b), _basis(rng, max(b, 6), min(b, 6), dtype)
    mixing = mixing if b > 6 else mixing.conj().T
    s = np.linalg.svd(X @ mixing, compute_uv=False)
    for k in (1, 2, 3):
        parts = (send(backend, A.astype(dtype)) for A in (U, X.conj().T, 0 * X.conj().T @ U, mixing))
        scale = math.sqrt(s[k - 1] * s[k]) / np.finfo(dtype).eps
        assert columns(*parts, scale=scale, negligible=1e-5).T.shape[1] == k


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_what_is_kept_is_written_exactly_where_something_may_be_left_out(backend, dtype):
    parts, h = _problem("generic", 6, 5, dtype), 0.1
    for i, B in ((3, parts[0]), (4, parts[2])):
        parts[i] = parts[i] @ B @ B.conj().T + 1e-3 * parts[i]
    step, _ = _step(backend, parts, h, 1e-4)
    assert step.left.T.shape == step.right.T.shape == (5, 5)
    assert np.linalg.norm(_dense(step) - _euler(parts, h)) <= 4 * EPS[dtype] * _size(parts, h)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("side", [0, 2])
@pytest.mark.parametrize(("drift", "repaired"), [(1e-3, True), (0.3, False)])
@pytest.mark.parametrize("r", [6, 70])
def test_bases_that_drifted_are_repaired_and_the_matrix_stays(backend, r, drift, repaired, side, dtype):
    parts, h = _problem("generic", r, 4, dtype, shape=(150, 140)), 1e-3
    E = np.random.default_rng(1).standard_normal((r, r))
    parts[side] = (parts[side] @ (np.eye(r) + drift * E / np.linalg.norm(E))).astype(dtype)
    step, calls = _step(backend, parts, h)
    P, s, Qh = np.linalg.svd(_double(step.S))
    kept = (_columns(step.left) @ P[:, :r] * s[:r]) @ (Qh[:r] @ _columns(step.right).conj().T)
    y, found, _ = step.truncated(Rank(r))
    assert max(_defect(y.U), _defect(y.V)) <= 8 * EPS[dtype] * math.sqrt(r)
    assert calls == ([] if repaired else [1])
    if repaired:
        assert np.linalg.norm(_double(y.to_dense()) - kept) <= 100 * EPS[dtype] * _size(parts, h)
        assert np.abs(found - s[:r]).max() <= 20 * EPS[dtype] * _size(parts, h)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("outside", [1.0, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize(("p", "q", "b"), [(10, 10, 8), (10, 10, 25), (10, 7, 15), (115, 115, 105)])
@pytest.mark.parametrize("negligible", [0.2, 0.02, 1e-7])
def test_no_more_is_left_out_than_is_negligible(p, q, b, outside, dtype, negligible):
    rng = np.random.default_rng(5)
    U, rows = _basis(rng, 260, p, dtype), _normal(rng, (b, 260), dtype)
    inside = rows @ U @ U.conj().T
    rows = inside + outside * np.geomspace(1.0, 1e-2, b)[:, None] * (rows - inside)
    mixing = np.geomspace(1.0, 1e-3, b)[rng.permutation(b), None] * _normal(rng, (b, q), dtype)
    U, X, mixing = (A.astype(dtype) for A in (U, rows.conj().T, mixing))
    c = columns(U, X.conj().T, X.conj().T @ U, mixing, negligible=negligible)
    if c is None:  # rounding hides what is there
        assert EPS[dtype] >= (negligible * outside) ** 2 / 100
        return
    met, U, X, mixing = _met(c), *(_double(A) for A in (U, X, mixing))
    new, Q = X - U @ (U.conj().T @ X), _columns(c)[:, p:]
    whole, values = np.linalg.norm(new @ mixing), np.linalg.svd(new @ mixing, compute_uv=False)
    assert Q.shape[1] <= 1 + (np.sqrt(np.cumsum(values[::-1] ** 2)[::-1]) > 0.3 * negligible * whole).sum()
    W = np.linalg.qr(Q)[0]
    assert np.linalg.norm(new @ mixing - W @ (W.conj().T @ new @ mixing)) <= 1.001 * negligible * whole
    assert np.linalg.norm((new - Q @ met.conj().T) @ mixing) <= 1.1 * negligible * whole
    assert _defect(Q) <= 100 * EPS[dtype] * (c.size * np.linalg.norm(_double(c.T))) ** 2


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("negligible", [0.0, 0.1])
@pytest.mark.parametrize("b", [5, 8])
def test_a_zero_row_hides_no_small_one(backend, b, negligible, dtype):
    """What made the Gram matrix definite there was once larger than all that is in the others."""
    parts, h = _problem("generic", 6, b, dtype), 1e5
    parts[3] *= 1e-6
    parts[3][1] = 0.0
    step, calls = _step(backend, parts, h, negligible)
    same, _ = _step(backend, [*parts[:3], *(np.delete(X, 1, axis=0) for X in parts[3:])], h, negligible)
    (y, s, _), (z, t, _) = step.truncated(Rank(6)), same.truncated(Rank(6))
    assert np.abs(s - t).max() <= 40 * EPS[dtype] * _size(parts, h)
    assert np.linalg.norm(_double(y.to_dense()) - _double(z.to_dense())) <= 1e3 * EPS[dtype] * _size(parts, h)
    assert not calls


@pytest.mark.parametrize(("b", "left"), [(4, 0), (4, 1), (8, 0), (15, 0)])
def test_a_rule_that_lets_the_rank_grow_gets_no_zero_columns(backend, b, left):
    """Rows that are zero, as where all units of a layer are dead, bring none."""
    parts = _problem("generic", 6, b, "float32")
    parts[3][left:] = 0.0
    parts[3] -= (parts[3] @ parts[0]) @ parts[0].T
    y, s, _ = _step(backend, parts, 0.1)[0].truncated(Rank(12))
    assert len(s) == 6 + left
    assert max(_defect(y.U), _defect(y.V)) <= 1e-6


@pytest.mark.parametrize("outside", [0.1, 0.03, 0.01, 1e-3, 3e-5])
@pytest.mark.parametrize(("b", "zeros"), [(30, 0), (30, 17), (13, 6), (10, 4)])
def test_combinations_of_rows_that_hardly_leave_the_basis_damp_nothing(b, zeros, outside):
    parts = _problem("generic", 6, b, "float32")
    for i, B in ((3, parts[0]), (4, parts[2])):
        parts[i] = (parts[i] @ B @ B.T + outside * parts[i]).astype("float32")
    parts[3][:zeros] = 0.0
    U, _, V, d, x = (_double(X) for X in parts)
    for rows, B, mixing in ((d, U, x @ V), (x, V, d @ U)):
        c = columns(*(X.astype("float32") for X in (B, rows, rows @ B, mixing)))
        if c is None:
            assert outside <= 1e-3
            continue
        new = rows.T - B @ (B.T @ rows.T)
        W = np.linalg.qr(new @ mixing)[0]
        found = _columns(c)[:, 6:] @ _met(c).T
        assert np.linalg.norm(found - W @ (W.T @ new)) <= min(
            EPS["float32"] * (2 + 1 / outside), outside
        ) * np.linalg.norm(rows)


@pytest.mark.parametrize("negligible", [0.0, 0.1])
@pytest.mark.parametrize("b", [4, 9])
@pytest.mark.parametrize("case", ["no step", "tiny step", "no rows of d", "no rows of x", "no core", "nothing"])
def test_where_nothing_or_hardly_anything_moves(backend, case, b, negligible):
    parts = _problem("generic", 6, b, "float64")
    h = {"no step": 0.0, "tiny step": 1e-200}.get(case, 0.1)
    for i, cases in ((3, ("no rows of d", "nothing")), (4, ("no rows of x", "nothing")), (1, ("no core", "nothing"))):
        if case in cases:
            parts[i] = 0.0 * parts[i]
    U, S, V, d, x = (send(backend, X) for X in parts)
    found, plain = (
        AugmentedBUG(euler, Rank(6), negligible).step(lambda t, Y, F=F: [F], 0.0, h, State([LowRank(U, S, V)])).Y[0]
        for F in (Outer(d, x), DenseEvaluation(d.mT @ x))
    )
    assert max(_defect(found.U), _defect(found.V)) <= 16 * EPS["float64"] * math.sqrt(6)
    assert np.linalg.norm(to_host(found.to_dense()) - to_host(plain.to_dense())) <= 1e-13 * _size(parts, h)


def test_a_step_that_is_not_finite_takes_columns_that_are_formed():
    parts = _problem("generic", 6, 4, "float64")
    with np.errstate(over="ignore", invalid="ignore"):
        assert _step(NUMPY, parts, 1e308)[0] is None
        assert _step(NUMPY, [*parts[:3], parts[3] * 1e160, parts[4] * 1e-160], 0.1)[0] is None


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("b", [10, 14])
def test_small_directions_of_the_mixing_are_seen_in_rows_of_any_precision(backend, b, dtype):
    rng, q = np.random.default_rng(4), 6
    U, X = _basis(rng, M, q, dtype).astype(dtype), _normal(rng, (M, b), dtype).astype(dtype)
    sizes, right = np.geomspace(1.0, 1e-7, q), _basis(rng, q, q, dtype)
    mixing = (_basis(rng, b, q, dtype) * sizes) @ right.conj().T
    c = columns(*(send(backend, A) for A in (U, X.conj().T, X.conj().T @ U, mixing)))
    wide = _columns(c)
    assert c.T.shape == (b if b < 12 else q, q)
    assert np.linalg.svd(wide, compute_uv=False)[-1] >= 0.5
    Q, acted = np.linalg.qr(wide)[0], _double(X) @ mixing @ right / sizes
    assert np.linalg.norm(acted - Q @ (Q.conj().T @ acted), axis=0).max() <= 1e-6 * np.linalg.norm(_double(X))


@pytest.mark.parametrize("negligible", [0.0, 0.1])
@pytest.mark.parametrize(("rank", "batch"), [(8, 6), (8, 20), (20, 12), (20, 50)])
def test_a_net_trains_as_exactly_as_with_columns_that_are_formed(monkeypatch, rank, batch, negligible):
    rng = np.random.default_rng(5)
    x, labels = rng.standard_normal((batch, 40)) / 3, rng.integers(0, 10, batch)
    model, integrator = mlp_of(90, 4, inputs=40, rank=rank), AugmentedBUG(euler, Rank(rank), negligible)
    flows = {dtype: GradientFlow(model, x.astype(dtype), labels) for dtype in ("float64", "float32")}
    Y, count = model.init(rng, NUMPY, "float64"), []
    for _ in range(3):
        Y = integrator.step(flows["float64"], 0.0, 0.3, Y).Y
    single = State(_cast(y, "float32") for y in Y)
    made = {}
    for few in (True, False):
        way = columns if few else lambda *args, **kw: None
        monkeypatch.setattr(unformed, "columns", lambda *args, way=way, **kw: count.append(1) or way(*args, **kw))
        for dtype, state in (("float64", Y), ("float32", single)):
            count.clear()
            made[few, dtype] = integrator.step(flows[dtype], 0.0, 0.3, state).Y
            assert len(count) == (6 if few else 3)
    for i, y in enumerate(Y):
        if isinstance(y, LowRank):
            made_so = {key: _double(Z[i].to_dense()) for key, Z in made.items()}
            exact = made_so[False, "float64"]
            errors = {key: np.linalg.norm(Z - exact) / np.linalg.norm(exact) for key, Z in made_so.items()}
            assert errors[True, "float64"] <= 1e-12
            assert errors[True, "float32"] <= max(3 * errors[False, "float32"], 4 * EPS["float32"])


def _cast(y, dtype):
    return LowRank(*(X.astype(dtype) for X in (y.U, y.S, y.V))) if isinstance(y, LowRank) else y.astype(dtype)
