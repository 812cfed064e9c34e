// Products of a sparse symmetric matrix with a block of B row-major vectors.
//
// Edge form: the matrix is a sum over edges (i, j) of d x d stiffnesses
//     K = t I + s u u^T,   s = +1 or -1,
// acting on the difference of the two ends.  An edge costs d + 1 doubles and one
// index; the sign s sits in the top bit of the index.  With optional site weights w
// (inverse square roots of masses) the difference is w_i x_i - w_j x_j and the force
// is weighted likewise.  One SIMD register holds a row of the block at B = 8, so the
// loop over the block is the vector loop and gathers never split.
//
// CSR form: any sparse matrix, the same block layout.
//
// The products compute Y += alpha A X + shift X on the n sites (rows) of one rank.  The later
// end of an edge has the higher number, so a row of Y is final once its site was visited: the
// column sums of X*X, X*Y and Y*Y (gram, 3 x B, unless null) are formed there, both rows being
// in registers.  Edges (entries) to ghosts, copies of the sites of other ranks that follow the
// own ones, are a short list of rows of their own, the rim: it is added when the ghost rows of X
// have arrived, and corrects the sums.

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace {

typedef double v4 __attribute__((vector_size(32)));
typedef double v8 __attribute__((vector_size(64)));

constexpr int64_t kFetchAhead = 64;         // edges or entries: 16 is 1.3 to 1.8 times slower
constexpr int64_t kFetchLines = 512;        // of 64 bytes under way: more do not fit the L1 cache
constexpr int64_t kFetchFromSites = 16000;  // below, X and Y live in the cache anyway
constexpr int32_t kIndexMask = 0x7fffffff;

template <class V, int NV>
struct Gram {
    V xx[NV], xy[NV], yy[NV];

    Gram() {
        for (int q = 0; q < NV; q++) xx[q] = xy[q] = yy[q] = V{};
    }
    void add(int q, V x, V y) {
        xx[q] += x * x;
        xy[q] += x * y;
        yy[q] += y * y;
    }
    void correct(int q, V x, V before, V after) {
        xy[q] += x * (after - before);
        yy[q] += after * after - before * before;
    }
    void store(double *gram) const {
        __builtin_memcpy(gram, this, sizeof(*this));
    }
    void add_to(double *gram) const {
        double mine[sizeof(*this) / sizeof(double)];
        store(mine);
        for (size_t k = 0; k < sizeof(*this) / sizeof(double); k++) gram[k] += mine[k];
    }
};

// Force of the stiffness t I + s u u^T at the extension delta.
template <int D, class V>
inline void pull(const V (&delta)[D], const double *u, double t, double s, V (&force)[D]) {
    V along = u[0] * delta[0];
    for (int c = 1; c < D; c++) along += u[c] * delta[c];
    along *= s;
    for (int c = 0; c < D; c++) force[c] = t * delta[c] + u[c] * along;
}

template <int D, class V, int NV, bool WEIGHTED, bool FETCH, bool GRAM>
void edges(int64_t n, const int64_t *start, const int32_t *index, const double *parameters,
           const double *weight, const double *X, double *Y, double alpha, double shift,
           double *gram) {
    constexpr int64_t B = NV * (int64_t)(sizeof(V) / sizeof(double));
    constexpr int64_t lines = 2 * ((D * B + 7) / 8);  // of X and Y, an edge
    constexpr int64_t fetch_ahead =
        kFetchLines / lines < kFetchAhead ? kFetchLines / lines : kFetchAhead;
    Gram<V, NV> sums;
    for (int64_t i = 0; i < n; i++) {
        V xi[D][NV], sum[D][NV];
        const V *own = (const V *)(X + D * B * i);
        const double wi = WEIGHTED ? weight[i] : 1.0;
        for (int c = 0; c < D; c++)
            for (int q = 0; q < NV; q++) {
                xi[c][q] = WEIGHTED ? wi * own[c * NV + q] : own[c * NV + q];
                sum[c][q] = V{};
            }
        for (int64_t p = start[i]; p < start[i + 1]; p++) {
            const int32_t entry = index[p];
            const int64_t j = entry & kIndexMask;
            const V *x = (const V *)(X + D * B * j);
            V *y = (V *)(Y + D * B * j);
            const double *u = parameters + (D + 1) * p;
            if (FETCH) {
                const int64_t ahead = D * B * (int64_t)(index[p + fetch_ahead] & kIndexMask);
                for (int64_t k = 0; k < D * B; k += 8) {
                    __builtin_prefetch(X + ahead + k, 0);
                    __builtin_prefetch(Y + ahead + k, 1);
                }
            }
            const double wj = WEIGHTED ? weight[j] : 1.0;
            const double t = alpha * u[D];
            const double s = entry < 0 ? -alpha : alpha;
            for (int q = 0; q < NV; q++) {
                V delta[D], force[D];
                for (int c = 0; c < D; c++)
                    delta[c] = xi[c][q] - (WEIGHTED ? wj * x[c * NV + q] : x[c * NV + q]);
                pull<D>(delta, u, t, s, force);
                for (int c = 0; c < D; c++) {
                    sum[c][q] += force[c];
                    y[c * NV + q] -= WEIGHTED ? wj * force[c] : force[c];
                }
            }
        }
        V *y = (V *)(Y + D * B * i);
        for (int c = 0; c < D; c++)
            for (int q = 0; q < NV; q++) {
                const V x = own[c * NV + q];
                const V value = y[c * NV + q] + (WEIGHTED ? wi * sum[c][q] : sum[c][q]) + shift * x;
                y[c * NV + q] = value;
                if (GRAM) sums.add(q, x, value);
            }
    }
    if (GRAM) sums.store(gram);
}

template <int D, class V, int NV, bool WEIGHTED, bool GRAM>
void rim_edges(int64_t n, const int64_t *row, const int64_t *start, const int32_t *index,
               const double *parameters, const double *weight, const double *X, double *Y,
               double alpha, double *gram) {
    constexpr int64_t B = NV * (int64_t)(sizeof(V) / sizeof(double));
    Gram<V, NV> sums;
    for (int64_t r = 0; r < n; r++) {
        const int64_t i = row[r];
        const V *own = (const V *)(X + D * B * i);
        V *y = (V *)(Y + D * B * i);
        const double wi = WEIGHTED ? weight[i] : 1.0;
        V sum[D][NV];
        for (int c = 0; c < D; c++)
            for (int q = 0; q < NV; q++) sum[c][q] = V{};
        for (int64_t p = start[r]; p < start[r + 1]; p++) {
            const int64_t j = index[p] & kIndexMask;
            const V *x = (const V *)(X + D * B * j);
            const double *u = parameters + (D + 1) * p;
            const double wj = WEIGHTED ? weight[j] : 1.0;
            const double t = alpha * u[D];
            const double s = index[p] < 0 ? -alpha : alpha;
            for (int q = 0; q < NV; q++) {
                V delta[D], force[D];
                for (int c = 0; c < D; c++)
                    delta[c] = wi * own[c * NV + q] - wj * x[c * NV + q];
                pull<D>(delta, u, t, s, force);
                for (int c = 0; c < D; c++) sum[c][q] += force[c];
            }
        }
        for (int c = 0; c < D; c++)
            for (int q = 0; q < NV; q++) {
                const V before = y[c * NV + q], value = before + wi * sum[c][q];
                y[c * NV + q] = value;
                if (GRAM) sums.correct(q, own[c * NV + q], before, value);
            }
    }
    if (GRAM) sums.add_to(gram);
}

template <class V, int NV, bool GRAM>
void rim_rows(int64_t n, const int64_t *row, const int64_t *start, const int32_t *index,
              const double *value, const double *X, double *Y, double alpha, double *gram) {
    constexpr int64_t B = NV * (int64_t)(sizeof(V) / sizeof(double));
    Gram<V, NV> sums;
    for (int64_t r = 0; r < n; r++) {
        V sum[NV];
        for (int q = 0; q < NV; q++) sum[q] = V{};
        for (int64_t p = start[r]; p < start[r + 1]; p++) {
            const V *x = (const V *)(X + B * (int64_t)index[p]);
            for (int q = 0; q < NV; q++) sum[q] += value[p] * x[q];
        }
        const V *own = (const V *)(X + B * row[r]);
        V *y = (V *)(Y + B * row[r]);
        for (int q = 0; q < NV; q++) {
            const V before = y[q], after = before + alpha * sum[q];
            y[q] = after;
            if (GRAM) sums.correct(q, own[q], before, after);
        }
    }
    if (GRAM) sums.add_to(gram);
}

template <class V, int NV, bool FETCH, bool GRAM>
void rows(int64_t n, const int64_t *start, const int32_t *index, const double *value,
          const double *X, double *Y, double alpha, double shift, double *gram) {
    constexpr int64_t B = NV * (int64_t)(sizeof(V) / sizeof(double));
    Gram<V, NV> sums;
    for (int64_t r = 0; r < n; r++) {
        V sum[NV];
        for (int q = 0; q < NV; q++) sum[q] = V{};
        for (int64_t p = start[r]; p < start[r + 1]; p++) {
            if (FETCH) __builtin_prefetch(X + B * (int64_t)index[p + kFetchAhead], 0);
            const V *x = (const V *)(X + B * (int64_t)index[p]);
            for (int q = 0; q < NV; q++) sum[q] += value[p] * x[q];
        }
        const V *own = (const V *)(X + B * r);
        V *y = (V *)(Y + B * r);
        for (int q = 0; q < NV; q++) {
            const V value = y[q] + alpha * sum[q] + shift * own[q];
            y[q] = value;
            if (GRAM) sums.add(q, own[q], value);
        }
    }
    if (GRAM) sums.store(gram);
}

// Call with every compiled width; 1 says that the width is unknown.
#define GM_WIDTHS(call)                \
    switch (width) {                   \
        case 1: call(double, 1); return 0; \
        case 4: call(v4, 1); return 0;     \
        case 8: call(v8, 1); return 0;     \
        case 16: call(v8, 2); return 0;    \
    }                                  \
    return 1;

template <int D, bool WEIGHTED, bool FETCH, bool GRAM>
int edges_of_width(int width, int64_t n, const int64_t *start, const int32_t *index,
                   const double *parameters, const double *weight, const double *X, double *Y,
                   double alpha, double shift, double *gram) {
#define GM_CALL(V, NV)                                                                       \
    edges<D, V, NV, WEIGHTED, FETCH, GRAM>(n, start, index, parameters, weight, X, Y, alpha, \
                                           shift, gram)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

template <bool FETCH, bool GRAM>
int rows_of_width(int width, int64_t n, const int64_t *start, const int32_t *index,
                  const double *value, const double *X, double *Y, double alpha, double shift,
                  double *gram) {
#define GM_CALL(V, NV) rows<V, NV, FETCH, GRAM>(n, start, index, value, X, Y, alpha, shift, gram)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

template <int D, bool WEIGHTED, bool GRAM>
int rim_edges_of_width(int width, int64_t n, const int64_t *row, const int64_t *start,
                       const int32_t *index, const double *parameters, const double *weight,
                       const double *X, double *Y, double alpha, double *gram) {
#define GM_CALL(V, NV)                                                                           \
    rim_edges<D, V, NV, WEIGHTED, GRAM>(n, row, start, index, parameters, weight, X, Y, alpha, \
                                        gram)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

template <bool GRAM>
int rim_rows_of_width(int width, int64_t n, const int64_t *row, const int64_t *start,
                      const int32_t *index, const double *value, const double *X, double *Y,
                      double alpha, double *gram) {
#define GM_CALL(V, NV) rim_rows<V, NV, GRAM>(n, row, start, index, value, X, Y, alpha, gram)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

template <int D>
int rim_edges_of_dimension(int width, int64_t n, const int64_t *row, const int64_t *start,
                           const int32_t *index, const double *parameters, const double *weight,
                           const double *X, double *Y, double alpha, double *gram) {
    static const auto products = {
        rim_edges_of_width<D, false, false>, rim_edges_of_width<D, false, true>,
        rim_edges_of_width<D, true, false>,  rim_edges_of_width<D, true, true>,
    };
    const int variant = 2 * (weight != nullptr) + (gram != nullptr);
    return products.begin()[variant](width, n, row, start, index, parameters, weight, X, Y,
                                     alpha, gram);
}

template <int D>
int edges_of_dimension(int width, int64_t n, const int64_t *start, const int32_t *index,
                       const double *parameters, const double *weight, const double *X, double *Y,
                       double alpha, double shift, double *gram) {
    static const auto products = {
        edges_of_width<D, false, false, false>, edges_of_width<D, false, false, true>,
        edges_of_width<D, false, true, false>,  edges_of_width<D, false, true, true>,
        edges_of_width<D, true, false, false>,  edges_of_width<D, true, false, true>,
        edges_of_width<D, true, true, false>,   edges_of_width<D, true, true, true>,
    };
    const int variant = 4 * (weight != nullptr) + 2 * (n > kFetchFromSites) + (gram != nullptr);
    return products.begin()[variant](width, n, start, index, parameters, weight, X, Y, alpha, shift, gram);
}

}  // namespace

extern "C" {

// Y += alpha A X + shift X for the edge form; edges start at their lower site (i < j).
// Returns 1 for an unknown dimension or width.
int gm_edge_product(int dimension, int width, int64_t n, const int64_t *start,
                    const int32_t *index, const double *parameters, const double *weight,
                    const double *X, double *Y, double alpha, double shift, double *gram) {
    auto *product = dimension == 2 ? edges_of_dimension<2>
                  : dimension == 3 ? edges_of_dimension<3>
                  : dimension == 4 ? edges_of_dimension<4> : nullptr;
    if (!product) return 1;
    return product(width, n, start, index, parameters, weight, X, Y, alpha, shift, gram);
}

// Y += alpha A X of the edges to ghosts: `n` sites `row` with their edges; adds to `gram`.
int gm_edge_rim(int dimension, int width, int64_t n, const int64_t *row, const int64_t *start,
                const int32_t *index, const double *parameters, const double *weight,
                const double *X, double *Y, double alpha, double *gram) {
    auto *product = dimension == 2 ? rim_edges_of_dimension<2>
                  : dimension == 3 ? rim_edges_of_dimension<3>
                  : dimension == 4 ? rim_edges_of_dimension<4> : nullptr;
    if (!product) return 1;
    return product(width, n, row, start, index, parameters, weight, X, Y, alpha, gram);
}

// Y += alpha A X of the entries in ghost columns: `n` rows `row` with their entries.
int gm_row_rim(int width, int64_t n, const int64_t *row, const int64_t *start,
               const int32_t *index, const double *value, const double *X, double *Y,
               double alpha, double *gram) {
    return (gram ? rim_rows_of_width<true> : rim_rows_of_width<false>)(
        width, n, row, start, index, value, X, Y, alpha, gram);
}

// Y += alpha A X + shift X for the CSR form.
int gm_row_product(int width, int64_t n, const int64_t *start, const int32_t *index,
                   const double *value, const double *X, double *Y, double alpha, double shift,
                   double *gram) {
    static const auto products = {rows_of_width<false, false>, rows_of_width<false, true>,
                                  rows_of_width<true, false>, rows_of_width<true, true>};
    const int variant = 2 * (n > 3 * kFetchFromSites) + (gram != nullptr);
    return products.begin()[variant](width, n, start, index, value, X, Y, alpha, shift, gram);
}

}
