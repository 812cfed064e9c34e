// A periodic grid of cells, at least `reach` wide, over which near pairs are found in linear time.
//
// Works for any edge lengths: an axis with one or two cells simply has fewer neighbouring
// cells, and every neighbouring cell is listed once, so no pair is met through two images.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cells {

// Image of x in [0, edge); the second step catches -1e-20 + edge == edge.
inline double wrap(double x, double edge) {
    x -= edge * std::floor(x / edge);
    return x < edge ? x : 0.0;
}

template <int D>
struct Grid {
    int64_t shape[D];
    int64_t count;
    double per_length[D];

    // Cells a little wider than `reach` (round-off must not push a pair two cells apart), but
    // no more than a few for each site: in a dilute box empty cells would cost more.
    Grid(const double *box, double reach, int64_t sites) {
        for (int c = 0; c < D; c++)
            shape[c] = std::max<int64_t>(1, (int64_t)std::min(box[c] / reach * (1 - 1e-12), 1e9));
        while (total() > 8.0 * sites + 4096) {
            int64_t &most = *std::max_element(shape, shape + D);
            most = (most + 1) / 2;
        }
        count = (int64_t)total();
        for (int c = 0; c < D; c++) per_length[c] = shape[c] / box[c];
    }

    double total() const {
        double product = 1;
        for (int c = 0; c < D; c++) product *= (double)shape[c];
        return product;
    }

    // Cell of a point with coordinates in [0, edge).
    int64_t cell(const double *x) const {
        int64_t index = 0;
        for (int c = 0; c < D; c++) {
            const int64_t k = std::min<int64_t>((int64_t)(x[c] * per_length[c]), shape[c] - 1);
            index = index * shape[c] + k;
        }
        return index;
    }

    // The distinct cells that touch `index`, itself included; returns how many.
    int neighbours(int64_t index, int64_t *out) const {
        int64_t at[D];
        for (int c = D - 1; c >= 0; c--) {
            at[c] = index % shape[c];
            index /= shape[c];
        }
        int found = 1;
        out[0] = 0;
        for (int c = 0; c < D; c++) {
            const int span = shape[c] < 3 ? (int)shape[c] : 3;
            const int first = span == 3 ? -1 : 0;
            for (int k = found - 1; k >= 0; k--)
                for (int s = span - 1; s >= 0; s--) {
                    const int64_t along = (at[c] + first + s + shape[c]) % shape[c];
                    out[k * span + s] = out[k] * shape[c] + along;
                }
            found *= span;
        }
        return found;
    }
};

constexpr int kMostNeighbours = 81;  // 3^4

// Counting sort of sites by cell: `order` lists the sites of cell c at start[c] .. start[c + 1].
template <int D>
void sort_by_cell(const Grid<D> &grid, int64_t n, const double *x, int64_t stride,
                  std::vector<int64_t> &start, std::vector<int32_t> &order) {
    std::vector<int64_t> cell(n);
    start.assign(grid.count + 1, 0);
    for (int64_t i = 0; i < n; i++) {
        cell[i] = grid.cell(x + stride * i);
        start[cell[i] + 1]++;
    }
    for (int64_t c = 0; c < grid.count; c++) start[c + 1] += start[c];
    std::vector<int64_t> next(start.begin(), start.end() - 1);
    order.resize(n);
    for (int64_t i = 0; i < n; i++) order[next[cell[i]]++] = (int32_t)i;
}

}  // namespace cells
