// All pairs of sites nearer than a cutoff in a periodic box, in linear time.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cells.hpp"

namespace {

template <int D>
int64_t find_pairs(int64_t n, const double *positions, const double *box, double cutoff,
                   int64_t capacity, int32_t *first, int32_t *second, int64_t *examined) {
    const cells::Grid<D> grid(box, cutoff, n);
    std::vector<double> x(D * n);
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < D; c++) x[D * i + c] = cells::wrap(positions[D * i + c], box[c]);
    std::vector<int64_t> start;
    std::vector<int32_t> order;
    cells::sort_by_cell<D>(grid, n, x.data(), D, start, order);
    // coordinates in cell order, one array an axis: candidates are read in straight runs
    std::vector<double> sorted[D];
    for (int c = 0; c < D; c++) {
        sorted[c].resize(n);
        for (int64_t k = 0; k < n; k++) sorted[c][k] = x[D * order[k] + c];
    }
    int64_t most = 1;
    for (int64_t c = 0; c < grid.count; c++) most = std::max(most, start[c + 1] - start[c]);
    std::vector<double> square(most);
    std::vector<int32_t> row;

    int64_t found = 0;
    *examined = 0;
    int64_t touching[cells::kMostNeighbours];
    for (int64_t i = 0; i < n; i++) {
        row.clear();
        const int cells_near = grid.neighbours(grid.cell(&x[D * i]), touching);
        for (int q = 0; q < cells_near; q++) {
            const int64_t begin = start[touching[q]], length = start[touching[q] + 1] - begin;
            *examined += length;
            for (int64_t k = 0; k < length; k++) {
                double sum = 0.0;
                for (int c = 0; c < D; c++) {
                    double delta = sorted[c][begin + k] - x[D * i + c];
                    delta -= delta > 0.5 * box[c] ? box[c] : 0.0;
                    delta += delta < -0.5 * box[c] ? box[c] : 0.0;
                    sum += delta * delta;
                }
                square[k] = sum;
            }
            for (int64_t k = 0; k < length; k++)
                if (square[k] < cutoff * cutoff && order[begin + k] > i)
                    row.push_back(order[begin + k]);
        }
        std::sort(row.begin(), row.end());
        const int64_t size = (int64_t)row.size();
        const int64_t kept = std::min(size, std::max<int64_t>(0, capacity - found));
        for (int64_t k = 0; k < kept; k++) {
            first[found + k] = (int32_t)i;
            second[found + k] = row[k];
        }
        found += size;
    }
    return found;
}

}  // namespace

extern "C" {

// Pairs i < j with minimum-image distance below `cutoff`, ordered by (i, j).  Returns their
// number; only the first `capacity` are written.  `examined` counts the distances computed.
// Returns -1 for an unknown dimension.
int64_t gm_find_pairs(int dimension, int64_t n, const double *positions, const double *box,
                      double cutoff, int64_t capacity, int32_t *first, int32_t *second,
                      int64_t *examined) {
    switch (dimension) {
        case 2: return find_pairs<2>(n, positions, box, cutoff, capacity, first, second, examined);
        case 3: return find_pairs<3>(n, positions, box, cutoff, capacity, first, second, examined);
        case 4: return find_pairs<4>(n, positions, box, cutoff, capacity, first, second, examined);
    }
    return -1;
}

}
