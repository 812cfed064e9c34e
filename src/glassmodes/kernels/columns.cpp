// Vector operations of iterations that run on all columns of a row-major block at once.
//
// numpy needs one pass through memory and one temporary for each operation; an iteration of
// conjugate gradients is bound by them long before it is by the product.  Widths as in
// block.cpp; each column has its own scalars.

#include <cstdint>

namespace {

template <int B>
void dots(int64_t rows, const double *x, const double *y, double *sum) {
    double total[B] = {};
    for (int64_t r = 0; r < rows; r++)
        for (int k = 0; k < B; k++) total[k] += x[B * r + k] * y[B * r + k];
    for (int k = 0; k < B; k++) sum[k] = total[k];
}

template <int B>
void rotate(int64_t rows, const double *part, const double *scale, const double *factor,
            double *__restrict x, double *__restrict y) {
    double a[B], s[B], f[B];
    for (int k = 0; k < B; k++) {
        a[k] = part[k];
        s[k] = scale[k];
        f[k] = factor[k];
    }
    for (int64_t r = 0; r < rows; r++)
        for (int k = 0; k < B; k++) {
            const double old = x[B * r + k];
            y[B * r + k] = s[k] * (y[B * r + k] - a[k] * old);
            x[B * r + k] = f[k] * old;
        }
}

template <int B>
void descend(int64_t rows, const double *step, const double *p, const double *q,
             double *__restrict x, double *__restrict residual, double *squares) {
    double s[B], total[B] = {};
    for (int k = 0; k < B; k++) s[k] = step[k];
    for (int64_t r = 0; r < rows; r++)
        for (int k = 0; k < B; k++) {
            x[B * r + k] += s[k] * p[B * r + k];
            const double value = residual[B * r + k] - s[k] * q[B * r + k];
            residual[B * r + k] = value;
            total[k] += value * value;
        }
    for (int k = 0; k < B; k++) squares[k] = total[k];
}

template <int B>
void turn(int64_t rows, const double *factor, const double *z, double *__restrict p) {
    double f[B];
    for (int k = 0; k < B; k++) f[k] = factor[k];
    for (int64_t r = 0; r < rows; r++)
        for (int k = 0; k < B; k++) p[B * r + k] = z[B * r + k] + f[k] * p[B * r + k];
}

template <int B>
void block_diagonal(int64_t sites, int d, const double *blocks, const double *x,
                    double *__restrict y) {
    for (int64_t s = 0; s < sites; s++) {
        const double *block = blocks + d * d * s;
        for (int a = 0; a < d; a++) {
            double sum[B] = {};
            for (int b = 0; b < d; b++)
                for (int k = 0; k < B; k++) sum[k] += block[d * a + b] * x[B * (d * s + b) + k];
            for (int k = 0; k < B; k++) y[B * (d * s + a) + k] = sum[k];
        }
    }
}

}  // namespace

// Each returns 1 for an unknown width.
#define GM_WIDTHS(call)               \
    switch (width) {                  \
        case 1: call(1); return 0;    \
        case 4: call(4); return 0;    \
        case 8: call(8); return 0;    \
        case 16: call(16); return 0;  \
    }                                 \
    return 1;

extern "C" {

// sum_k = x_k . y_k
int gm_dots(int width, int64_t rows, const double *x, const double *y, double *sum) {
#define GM_CALL(B) dots<B>(rows, x, y, sum)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

// y_k = scale_k (y_k - part_k x_k), x_k = factor_k x_k
int gm_rotate(int width, int64_t rows, const double *part, const double *scale,
              const double *factor, double *x, double *y) {
#define GM_CALL(B) rotate<B>(rows, part, scale, factor, x, y)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

// x_k += step_k p_k, residual_k -= step_k q_k, squares_k = |residual_k|^2
int gm_descend(int width, int64_t rows, const double *step, const double *p, const double *q,
               double *x, double *residual, double *squares) {
#define GM_CALL(B) descend<B>(rows, step, p, q, x, residual, squares)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

// p_k = z_k + factor_k p_k
int gm_turn(int width, int64_t rows, const double *factor, const double *z, double *p) {
#define GM_CALL(B) turn<B>(rows, factor, z, p)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

// y = B x for d x d blocks on the diagonal
int gm_block_diagonal(int width, int64_t sites, int d, const double *blocks, const double *x,
                      double *y) {
#define GM_CALL(B) block_diagonal<B>(sites, d, blocks, x, y)
    GM_WIDTHS(GM_CALL)
#undef GM_CALL
}

}  // extern "C"
