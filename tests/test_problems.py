"""Every problem's reference solves its ODE, its field is what it says, and the constants that it states hold."""

from __future__ import annotations

import math
from functools import cache, partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from matode import BUG, Absolute, AugmentedBUG, LowRank, Relative, problems, rk4, solve
from matode._array import to_host
from matode.evaluations import as_evaluation
from matode.problems.grids import central, fourier, stencil
from tests.backends import assert_at_home

SMALL = {
    "allen-cahn": partial(problems.allen_cahn, 16, 4, diffusion=0.05, T=1.0),
    "bounded": partial(problems.bounded, (12, 9), 2, omega=1.0),
    "burgers": partial(problems.burgers, (20, 8), 5),
    "completion": partial(problems.completion, (12, 9), 2),
    "convection-diffusion": partial(problems.convection_diffusion, (14, 10), 3),
    "given-matrix": partial(problems.given_matrix, (12, 9), 2),
    "landau-damping": partial(problems.landau_damping, (8, 16), 3, amplitude=0.3, T=1.0),
    "lubich-oseledets": partial(problems.lubich_oseledets, 16, 5, block=4),
    "lyapunov": partial(problems.lyapunov, 30, 4),
    "nonlinear-schroedinger": partial(problems.nonlinear_schroedinger, 16, 3, T=0.5),
    "plane-source": partial(problems.plane_source, (20, 6), 3, width=0.2),
    "riccati": partial(problems.riccati, 14, 4),
    "rotation": partial(problems.rotation, 14, 4),
    "schroedinger": partial(problems.schroedinger, 20, 4),
    "sylvester": partial(problems.sylvester, (12, 9), 2),
    "two-stream": partial(problems.two_stream, (8, 16), 3, T=1.0),
}
"""All problems of the registry, at sizes at which a dense check is cheap."""

VARIANTS = {
    "lyapunov, convection": partial(problems.lyapunov, 14, 3, convection=0.4),
    "sylvester, source": partial(problems.sylvester, (12, 9), 2, source=0.7, source_rank=2),
    "sylvester, complex": partial(problems.sylvester, (12, 9), 2, source=0.7, dtype="complex128"),
    "schroedinger, periodic": partial(problems.schroedinger, 12, 4, periodic=True, kinetic=-1.0),
    "rotation, field": partial(problems.rotation, 14, 4, as_field=True),
    "completion, sparse": partial(problems.completion, (12, 9), 2, sparse=True, noise=0.1),
    "completion, complex": partial(problems.completion, (12, 9), 2, dtype="complex128"),
}
ALL = {**SMALL, **VARIANTS}


@cache
def _problem(name):
    return ALL[name]()


def _value(problem, t, dense):
    """Return F at a dense host matrix, through a low-rank value of full width."""
    return as_evaluation(problem.F(t, LowRank(dense, None, np.eye(dense.shape[1], dtype=dense.dtype))), None).full()


def test_every_problem_of_the_registry_is_tested_here():
    assert set(SMALL) == set(problems.PROBLEMS)
    for name in problems.PROBLEMS:
        assert problems.make_problem(name).name
    with pytest.raises(ValueError, match=r"unknown problem 'heat': expected one of allen-cahn"):
        problems.make_problem("heat")


@pytest.mark.parametrize("name", list(ALL))
def test_reference_solves_the_ode(name):
    problem = _problem(name)
    t = 0.6 * problem.t_span[0] + 0.4 * problem.t_span[1]
    d = 1e-4
    slope = (problem.reference(t + d) - problem.reference(t - d)) / (2 * d)
    exact = _value(problem, t, np.asarray(problem.reference(t)))
    assert np.linalg.norm(slope - exact) <= 1e-5 * np.linalg.norm(exact)


@pytest.mark.parametrize("name", list(ALL))
def test_reference_agrees_with_an_independent_integration_of_the_field(name):
    problem = _problem(name)
    t0, t1 = problem.t_span
    start = np.asarray(problem.reference(t0))
    y = solve_ivp(
        lambda t, y: _value(problem, t, y.reshape(start.shape)).ravel(),
        (t0, t1),
        start.ravel(),
        "RK45",
        rtol=1e-9,
        atol=1e-12,
    ).y[:, -1]
    assert np.linalg.norm(y - problem.reference(t1).ravel()) <= 1e-7 * np.linalg.norm(y)


@pytest.mark.parametrize("name", list(ALL))
def test_start_and_constants(name):
    """At matrices near the solution, in random directions and in those in which F changes most."""
    problem = _problem(name)
    start = problem.Y0.to_dense()
    gap = np.linalg.norm(start - problem.reference(problem.t_span[0]))
    assert gap == pytest.approx(problem.start_error, abs=1e-12 * np.linalg.norm(start))
    rng = np.random.default_rng(0)
    for t in np.linspace(*problem.t_span, 4):
        Y = np.asarray(problem.reference(t))
        FY = _value(problem, t, Y)
        if problem.B is not None:
            assert np.linalg.norm(FY) <= problem.B
        if problem.L is None:
            continue
        waves = [np.sin(np.pi * np.arange(1, k + 1) / (k + 1)) for k in Y.shape]
        D = np.outer(*waves) if t else np.outer(waves[0], np.eye(Y.shape[1])[0])  # what diffusion damps least
        for shift in (None, 0.0, 0.0, 1.0, *[0.5] * 12):  # then towards the largest, and the rightmost, eigenvalue
            D = D * (1e-3 * np.abs(Y).max() / np.abs(D).max())
            difference = np.linalg.norm(D)
            change = _value(problem, t, Y + D) - FY
            assert np.linalg.norm(change) <= problem.L * difference * (1 + 1e-9) + 1e-14
            if problem.one_sided is not None:
                assert np.vdot(D, change).real <= problem.one_sided * difference**2 + 1e-9 * difference**2
            if shift is None or not problem.L:
                D = rng.standard_normal(Y.shape) + (1j * rng.standard_normal(Y.shape) if np.iscomplexobj(Y) else 0)
            else:
                D = change + shift * problem.L * D


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("convection-diffusion", 0.5),
        ("lyapunov", 0.9),
        ("lyapunov, convection", 0.8),
        ("nonlinear-schroedinger", 0.7),
        ("plane-source", 0.4),
        ("rotation, field", 0.9),
        ("schroedinger", 0.9),
        ("schroedinger, periodic", 0.9),
    ],
)
def test_lipschitz_constants_are_nearly_attained(name, share):
    problem = _problem(name)
    largest = _largest_growth(problem, np.asarray(problem.reference(problem.t_span[0])))
    assert share * problem.L <= largest <= problem.L * (1 + 1e-8)


def test_lipschitz_constant_of_allen_cahn_is_attained_at_its_tallest_entries():
    problem = _problem("allen-cahn")
    largest = _largest_growth(problem, np.full((16, 16), 1.1 - 1e-6))
    assert 0.995 * problem.L <= largest <= problem.L


def _largest_growth(problem, Y):
    """Return the largest eigenvalue, in modulus, of the derivative of F at Y, by power iteration."""
    D = np.random.default_rng(1).standard_normal(Y.shape).astype(Y.dtype)
    d = 1e-5
    offset = _value(problem, 0.0, Y)
    for _ in range(200):
        D = (_value(problem, 0.0, Y + d * D / np.linalg.norm(D)) - offset) / d
    return np.linalg.norm(D)


@pytest.mark.parametrize("name", list(ALL))
def test_problems_run_on_every_backend(backend, name):
    if "sparse" in name and not backend.name.startswith("numpy"):
        with pytest.raises(ValueError, match="needs sparse matrices"):
            ALL[name](backend=backend)
        return
    problem, plain = ALL[name](backend=backend), _problem(name)
    assert_at_home(problem.Y0.U, backend)
    t0, t1 = problem.t_span
    t = t0 + 0.3 * (t1 - t0)
    actual = as_evaluation(problem.F(t, problem.Y0), problem.Y0.shape)
    expected = as_evaluation(plain.F(t, plain.Y0), plain.Y0.shape)
    assert_at_home(actual.right(problem.Y0.V), backend, str(plain.Y0.U.dtype))
    scale = np.linalg.norm(expected.full())
    assert np.linalg.norm(to_host(actual.full()) - expected.full()) <= 1e-12 * scale
    if problem.linear is not None:
        _check_structure(problem, t, actual, scale)
    h = (t1 - t0) / 50
    step = solve(problem.F, (t0, t0 + 2 * h), problem.Y0, BUG(rk4), h=h).Y[-1]
    other = solve(plain.F, (t0, t0 + 2 * h), plain.Y0, BUG(rk4), h=h).Y[-1]
    assert np.linalg.norm(to_host(step.to_dense()) - other.to_dense()) <= 1e-9 * np.linalg.norm(other.to_dense())


def _check_structure(problem, t, value, scale):
    """``F = A Y + Y B + G``, with the parts that the problem exposes."""
    Y, linear = problem.Y0, problem.linear
    parts = [] if linear.A is None else [linear.A @ Y]
    parts += [] if linear.B is None else [Y @ linear.B]
    parts += [] if linear.G is None else [linear.G(t, Y)]
    total = sum(to_host(as_evaluation(part, Y.shape).full()) for part in parts)
    assert np.linalg.norm(total - to_host(value.full())) <= 1e-12 * scale


# The fields against formulas that are written a second time, with other tools


def _shifted(Y, k, axis, periodic=False):
    moved = np.roll(Y, k, axis)
    if not periodic:
        edge = (slice(None),) * axis + ((0 if k > 0 else -1),)
        moved = moved.copy()
        moved[edge] = 0
    return moved


def _second(Y, axis, periodic=False):
    return _shifted(Y, 1, axis, periodic) - 2 * Y + _shifted(Y, -1, axis, periodic)


def _centred(Y, axis):
    return (_shifted(Y, -1, axis) - _shifted(Y, 1, axis)) / 2


def _allen_cahn(Y):
    d = 0.05 * (16 / (2 * np.pi)) ** 2
    return d * (_second(Y, 0, True) + _second(Y, 1, True)) + Y - Y**3


def _burgers(Y):
    return 0.01 * 21**2 * _second(Y, 0) - Y * 21 * _centred(Y, 0)


def _convection_diffusion(Y):
    (m, n), value = Y.shape, 0.0
    for k, axis, w in ((m + 1, 0, 0.5), (n + 1, 1, -0.25)):
        value = value + 0.01 * k**2 * _second(Y, axis) - w * k * _centred(Y, axis)
    x, y = np.arange(1, m + 1) / (m + 1), np.arange(1, n + 1) / (n + 1)
    bump = np.exp(-60 * ((x[:, None] - 0.6) ** 2 + (y[None, :] - 0.4) ** 2))
    return value + bump / np.linalg.norm(bump)


def _nonlinear_schroedinger(Y):
    neighbours = sum(_shifted(Y, k, axis) for k in (1, -1) for axis in (0, 1))
    return 0.5j * neighbours + 0.1j * np.abs(Y) ** 2 * Y


def _schroedinger(Y, periodic, kinetic):
    n = len(Y)
    v = 1 - np.cos(2 * np.pi / n * (np.arange(n) - n // 2))
    laplace = _second(Y, 0, periodic) + _second(Y, 1, periodic)
    return -1j * (-0.5 * kinetic * laplace + v[:, None] * Y * v[None, :])


def _plane_source(Y):
    """Upwind for each direction of the Gauss quadrature, which the moments are equivalent to."""
    mu, weights = np.polynomial.legendre.leggauss(6)
    P = np.polynomial.legendre.legvander(mu, 5) * np.sqrt(np.arange(6) + 0.5)  # orthonormal, (node, degree)
    f, dx = Y @ P.T, 3 / 21
    upwind = np.where(mu > 0, f - _shifted(f, 1, 0), _shifted(f, -1, 0) - f) / dx
    mean = (f @ weights)[:, None] / 2
    return (-mu * upwind + mean - f) @ (weights[:, None] * P)


def _landau(Y):
    """Derivatives by FFT, and E by integrating the charge mode by mode."""
    m, n = Y.shape
    k, q = 2 * np.pi * np.fft.fftfreq(m, 4 * np.pi / m), 2 * np.pi * np.fft.fftfreq(n, 12 / n)
    k[m // 2] = q[n // 2] = 0
    v = -6 + 12 * np.arange(n) / n
    charge = np.fft.fft(1 - Y.sum(axis=1) * 12 / n)
    E = np.fft.ifft(np.divide(charge, 1j * k, out=np.zeros_like(charge), where=k != 0)).real
    fx = np.fft.ifft(1j * k[:, None] * np.fft.fft(Y, axis=0), axis=0).real
    fv = np.fft.ifft(1j * q[None, :] * np.fft.fft(Y, axis=1), axis=1).real
    return -v * fx + E[:, None] * fv


def _lyapunov(Y):
    n = len(Y)
    A = np.diag(-2 * np.ones(n)) + 1.4 * np.diag(np.ones(n - 1), -1) + 0.6 * np.diag(np.ones(n - 1), 1)
    A /= np.linalg.norm(A, 2)
    return A @ Y + Y @ A.T


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("allen-cahn", _allen_cahn),
        ("burgers", _burgers),
        ("convection-diffusion", _convection_diffusion),
        ("landau-damping", _landau),
        ("nonlinear-schroedinger", _nonlinear_schroedinger),
        ("plane-source", _plane_source),
        ("schroedinger", partial(_schroedinger, periodic=False, kinetic=1.0)),
        ("schroedinger, periodic", partial(_schroedinger, periodic=True, kinetic=-1.0)),
    ],
)
def test_field_is_its_formula(name, formula):
    problem = _problem(name)
    Y = np.random.default_rng(2).standard_normal(problem.Y0.shape).astype(problem.Y0.dtype)
    expected = formula(Y)
    assert np.linalg.norm(_value(problem, 0.1, Y) - expected) <= 1e-12 * np.linalg.norm(expected)


def test_lyapunov_with_convection_is_its_formula():
    problem = _problem("lyapunov, convection")
    Y = np.random.default_rng(2).standard_normal((14, 14))
    difference = _value(problem, 0.0, Y) - _value(problem, 0.0, 0 * Y)
    assert np.linalg.norm(difference - _lyapunov(Y)) <= 1e-13 * np.linalg.norm(Y)


# What single problems promise beside


def test_lipschitz_constants_are_attained():
    for problem, n in ((problems.lyapunov(30, 4), 30), (problems.schroedinger(20, 4), 20)):
        Z = np.random.default_rng(1).standard_normal((n, n)).astype(problem.Y0.dtype)
        offset = _value(problem, 0.0, np.zeros_like(Z))
        for _ in range(300):  # power iteration with the normal operator F (F is normal in both)
            Z = _value(problem, 0.0, Z) - offset
            size = np.linalg.norm(Z)
            Z = Z / size
        assert 0.9 * problem.L <= size <= problem.L * (1 + 1e-12)


def test_published_errors_of_the_schroedinger_problem():
    """Augmented BUG from rank 4 and 8, theta = 1e-6, rank at most 30: the literature's errors within 20 %."""
    published = {4: [1.1e-2, 5.5e-3, 2.2e-3], 8: [9.4e-4, 1.7e-4, 5.1e-5]}
    for rank, errors in published.items():
        problem = problems.schroedinger(rank=rank)
        exact = problem.reference(1.0)
        for h, error in zip((0.1, 0.05, 0.02), errors, strict=True):
            sol = solve(problem.F, (0, 1), problem.Y0, h=h, truncation=Absolute(1e-6, max_rank=30), t_eval=[1.0])
            assert np.linalg.norm(sol.Y[-1].to_dense() - exact) == pytest.approx(error, rel=0.2)


def test_landau_damping_has_the_analytic_rate():
    """The peaks of the electric energy fall at twice the rate of the field, and oscillate at twice its frequency."""
    root = problems.landau_root(0.5)
    assert root.real == pytest.approx(1.4156, abs=1e-4)
    assert root.imag == pytest.approx(-0.1533, abs=1e-4)
    problem = problems.landau_damping((16, 64), 5, T=20.0)
    times, energies = [], []

    def record(t, Y):
        times.append(t)
        energies.append(problem.F.electric_energy(Y))

    options = {"h": 0.1, "truncation": Relative(1e-8), "t_eval": [20.0]}
    solution = solve(problem.F, problem.t_span, problem.Y0, AugmentedBUG(rk4), callback=record, **options)
    assert solution.ranks[-1] <= 12
    peaks = [i for i in range(1, len(times) - 1) if energies[i - 1] < energies[i] > energies[i + 1]]
    slope, _ = np.polyfit([times[i] for i in peaks], np.log([energies[i] for i in peaks]), 1)
    assert len(peaks) >= 7
    assert slope / 2 == pytest.approx(root.imag, rel=0.01)
    spacing = np.diff([times[i] for i in peaks]).mean()
    assert np.pi / spacing == pytest.approx(root.real, rel=0.02)


def test_vlasov_poisson_preserves_norm_and_charge():
    problem = _problem("two-stream")
    start, end = problem.reference(0.0), problem.reference(1.0)
    assert np.linalg.norm(end) == pytest.approx(np.linalg.norm(start), rel=1e-10)
    assert end.sum() == pytest.approx(start.sum(), rel=1e-10)


def test_stiff_heat_equation_has_its_size_and_structure():
    n = 512
    problem = problems.lyapunov(n, 4, norm=4.0 * (n + 1) ** 2, T=0.1)
    assert pytest.approx(2 * 4 * 513**2) == problem.L
    assert problem.one_sided == pytest.approx(-2 * np.pi**2, rel=1e-3)
    assert problem.linear.A.diagonal()[0] == pytest.approx(-2 * 513**2, rel=1e-4)
    t, d = 0.05, 1e-6
    slope = (problem.reference(t + d) - problem.reference(t - d)) / (2 * d)
    exact = _value(problem, t, problem.reference(t))
    assert np.linalg.norm(slope - exact) <= 1e-4 * np.linalg.norm(exact)


def test_riccati_reference_is_symmetric_and_below_the_lyapunov_solution():
    problem = _problem("riccati")
    Y = problem.reference(1.0)
    assert np.linalg.norm(Y - Y.T) <= 1e-12
    assert np.linalg.eigvalsh(Y)[0] >= -1e-12
    assert np.linalg.norm(Y) <= 1 + math.sqrt(2)


def test_rotation_has_known_singular_values():
    problem = problems.rotation(12, 3)
    expected = math.exp(0.7) * 0.5 ** np.arange(1, 13)
    np.testing.assert_allclose(np.linalg.svd(problem.reference(0.7), compute_uv=False), expected, rtol=1e-12)
    assert problem.start_error == pytest.approx(np.linalg.norm(0.5 ** np.arange(4, 13)))


def test_entries_stay_where_the_constants_hold():
    """The heights for which L is stated are those of the solutions."""
    for name, height in (("allen-cahn", 1.0 + 1e-12), ("nonlinear-schroedinger", 1.4)):
        problem = problems.PROBLEMS[name]()
        for t in np.linspace(*problem.t_span, 4):
            assert np.abs(problem.reference(t)).max() <= height
    assert np.abs(problems.allen_cahn().Y0.to_dense()).max() == pytest.approx(1.0, abs=1e-12)
    problem = problems.PROBLEMS["burgers"]()
    tallest = np.abs(problem.reference(0.0)).max()
    assert all(np.abs(problem.reference(t)).max() <= 1.2 * tallest for t in np.linspace(0, 0.4, 5))


def test_sparse_completion_is_the_dense_one_at_its_entries():
    problem = _problem("completion, sparse")
    pattern = problem.F.data
    dense = problems.completion((12, 9), 2).F
    other = type(dense)(pattern.toarray(), (pattern != 0).toarray().astype(float))
    Y = problem.Y0
    assert 0.3 < pattern.nnz / 108 < 0.7
    np.testing.assert_allclose(problem.F(0.0, Y).toarray(), other(0.0, Y), atol=1e-14)
    np.testing.assert_allclose(problem.F.gradient(Y).toarray(), other.gradient(Y), atol=1e-14)
    assert problem.F.loss(Y) == pytest.approx(other.loss(Y))
    assert problems.completion((8, 7), 2, observed=1.0, sparse=True).F.data.nnz == 56


def test_sparse_completion_never_forms_the_matrix():
    import tracemalloc

    tracemalloc.start()
    problem = problems.completion((20000, 10000), 3, observed=1e-4, sparse=True)
    problem.F(0.0, problem.Y0).T @ problem.Y0.U
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6  # the matrix has 1.6e9 bytes


def test_difference_matrices():
    x = np.array([3.0, -1.0, 4.0, 2.0])
    right, left = np.roll(x, -1), np.roll(x, 1)
    assert np.allclose(stencil(4, 2.0, 3.0, 5.0, periodic=True) @ x, 2 * left + 3 * x + 5 * right)
    assert np.allclose(central(4, periodic=True) @ x, (right - left) / 2)
    assert np.allclose(stencil(4, 2.0, 3.0, 5.0) @ x, 3 * x + 2 * np.array([0, *x[:3]]) + 5 * np.array([*x[1:], 0]))
    points = 2 * np.arange(8) / 8
    assert np.allclose(fourier(8, 2.0) @ np.sin(3 * np.pi * points), 3 * np.pi * np.cos(3 * np.pi * points))


# Given data


def test_given_data_starts_on_the_best_approximation_and_follows_its_derivative(backend):
    A0, A1 = (LowRank.random((8, 6), 3, rng=k, backend=backend) for k in (0, 1))
    dense = [to_host(A.to_dense()) for A in (A0, A1)]
    low = problems.given_data(lambda t: A0 + t * t * A1, lambda t: 2 * t * A1, (0.5, 1.0), 2, B=2 * math.sqrt(3))
    full = problems.given_data(
        lambda t: A0.to_dense() + t * t * A1.to_dense(), lambda t: 2 * t * A1.to_dense(), (0.5, 1.0), 2
    )
    start = dense[0] + 0.25 * dense[1]
    best = np.linalg.svd(start, compute_uv=False)[2:]
    for problem in (low, full):
        assert_at_home(problem.Y0.U, backend)
        assert problem.Y0.rank == 2
        assert problem.start_error == pytest.approx(np.linalg.norm(best), abs=1e-12)
        assert np.allclose(problem.reference(0.5), start)
        value = as_evaluation(problem.F(0.7, problem.Y0), (8, 6))
        assert np.allclose(to_host(value.full()), 1.4 * dense[1])
    assert isinstance(low.F(0.7, low.Y0), LowRank)
    assert np.linalg.norm(to_host(low.F(1.0, low.Y0).to_dense())) <= low.B * (1 + 1e-12)


@pytest.mark.parametrize("kind", ["low-rank", "dense", "sparse"])
def test_snapshots_are_met_and_the_field_is_the_slope_of_the_spline(kind):
    from scipy import sparse
    from scipy.interpolate import CubicSpline

    times = [0.0, 0.3, 0.7, 1.0, 1.6]
    dense = np.random.default_rng(0).standard_normal((5, 7, 4))
    make = {"low-rank": lambda A: LowRank(A, None, np.eye(4)), "dense": np.asarray, "sparse": sparse.csr_array}[kind]
    problem = problems.snapshots(times, [make(A) for A in dense], 3)
    for t, A in zip(times, dense, strict=True):
        np.testing.assert_allclose(problem.reference(t), A, atol=1e-13)
    spline = CubicSpline(times, dense)
    for t in np.linspace(0, 1.6, 9):
        value = as_evaluation(problem.F(t, problem.Y0), (7, 4)).full()
        np.testing.assert_allclose(value, spline(t, 1), atol=1e-12)
        assert np.linalg.norm(value) <= problem.B
    assert (kind == "low-rank") == isinstance(problem.F(0.1, problem.Y0), LowRank)
    best = np.linalg.svd(dense[0], compute_uv=False)[3:]
    assert problem.start_error == pytest.approx(np.linalg.norm(best))


def test_wrong_arguments_are_refused():
    A = np.eye(3)
    for message, make in {
        "source_rank <= rank <= n": lambda: problems.lyapunov(10, 1, source_rank=2),
        r"convection must be in \[-1, 1\]": lambda: problems.lyapunov(10, 3, convection=2.0),
        "1 <= rank <= n": lambda: problems.schroedinger(10, 11),
        "rank between 1 and 8 for a 8 x 9": lambda: problems.convection_diffusion((8, 9), 9),
        "rank between 2 and 10": lambda: problems.nonlinear_schroedinger(10, 1),
        "rank between 5 and 8": lambda: problems.burgers((20, 8), 3),
        "viscosity must be positive": lambda: problems.burgers(viscosity=0.0),
        "number of random modes": lambda: problems.burgers(modes=-1),
        "diffusion must be positive": lambda: problems.convection_diffusion(diffusion=0.0),
        "even number of grid points": lambda: problems.allen_cahn(15),
        "even number of points, at least 2, got 7": lambda: problems.landau_damping((7, 8)),
        "wave number must be positive": lambda: problems.landau_damping(wave_number=0.0),
        r"wave number must be in \[0.2, 1\]": lambda: problems.landau_root(3.0),
        "wave number must be positive, got -1": lambda: problems.two_stream(wave_number=-1.0),
        "at least two moments": lambda: problems.plane_source((10, 1)),
        "scattering must not be negative": lambda: problems.plane_source(scattering=-1.0),
        "outputs <= rank <= n": lambda: problems.riccati(10, 1),
        r"the convection must be in \[-1, 1\], got 3": lambda: problems.riccati(convection=3.0),
        "block between 1 and 20": lambda: problems.lubich_oseledets(20, block=30),
        "source_rank between 1 and 9": lambda: problems.sylvester((12, 9), source=1.0, source_rank=10),
        "at least 3 grid points": lambda: problems.riccati(2, 2, outputs=1),
        "share of observed": lambda: problems.completion(observed=0.0, sparse=True),
        "two times and one matrix": lambda: problems.snapshots([0.0], [A], 1),
        "times of the snapshots must increase": lambda: problems.snapshots([1.0, 0.0], [A, A], 1),
        "must have one shape": lambda: problems.snapshots([0.0, 1.0], [A, A[:2]], 1),
        r"A\(t\) has shape \(3, 3\) but": lambda: problems.given_data(lambda t: A, lambda t: A[:2], (0, 1), 1),
        "rank between 1 and 3 for a 3 x 3": lambda: problems.given_data(lambda t: A, lambda t: A, (0, 1), 4),
    }.items():
        with pytest.raises(ValueError, match=message):
            make()
    for name in ("allen-cahn", "burgers", "convection-diffusion", "lyapunov", "plane-source", "riccati"):
        with pytest.raises(ValueError, match=r"T of the interval must be positive, got -1"):
            problems.make_problem(name, T=-1.0)
    with pytest.raises(TypeError, match="the derivative at 0 must be a LowRank"):
        problems.given_data(lambda t: A, lambda t: 1.0, (0, 1), 1)
