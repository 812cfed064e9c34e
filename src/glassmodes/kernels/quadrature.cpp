// Nodes and weights of the Gauss quadrature that belongs to a symmetric tridiagonal matrix.
//
// Implicit QL with Wilkinson's shift; of the eigenvectors only the first components are
// carried along, so that k nodes take O(k) memory where LAPACK's eigenvectors take O(k^2).
// Source: Golub and Welsch, Math. Comp. 23, 221 (1969).

#include <cmath>
#include <cstdint>

namespace {

constexpr double kRounding = 2.220446049250313e-16;
constexpr int kMostSweeps = 60;  // an eigenvalue; two are usual

// First index m >= l whose coupling e[m] to m + 1 is round-off, or n - 1.
int64_t block_end(int64_t l, int64_t n, const double *d, const double *e) {
    int64_t m = l;
    while (m < n - 1 && std::fabs(e[m]) > kRounding * (std::fabs(d[m]) + std::fabs(d[m + 1]))) m++;
    return m;
}

// One implicit QL sweep over rows l ... m.
void sweep(int64_t l, int64_t m, double *d, double *e, double *z) {
    double g = (d[l + 1] - d[l]) / (2 * e[l]);
    g = d[m] - d[l] + e[l] / (g + std::copysign(std::sqrt(g * g + 1), g));
    double s = 1, c = 1, p = 0;
    for (int64_t i = m - 1; i >= l; i--) {
        const double f = s * e[i], b = c * e[i];
        double r = std::sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r == 0) {
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        const double first = z[i + 1];
        z[i + 1] = s * z[i] + c * first;
        z[i] = c * z[i] - s * first;
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

}  // namespace

extern "C" {

// d (n) diagonal and e (n) off-diagonal, its last entry 0, in; d becomes the eigenvalues in no
// order and z (n) the first components of their eigenvectors.  Returns 1 without convergence.
int gm_gauss_quadrature(int64_t n, double *d, double *e, double *z) {
    for (int64_t i = 0; i < n; i++) z[i] = i == 0;
    for (int64_t l = 0; l < n; l++)
        for (int sweeps = 0;; sweeps++) {
            const int64_t m = block_end(l, n, d, e);
            if (m == l) break;
            if (sweeps == kMostSweeps) return 1;
            sweep(l, m, d, e, z);
        }
    return 0;
}

}
