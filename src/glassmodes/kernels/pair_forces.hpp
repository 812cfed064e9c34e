// Pair forces over a Verlet list, from the tables of pair_tables.py, in d = 2, 3 or 4.
//
// Sites are kept in the order of their cells, so a list of near sites reads memory in short
// runs.  Coordinates of a site lie side by side (padded to 4 in 3D): eight partners are
// fetched as eight rows and transposed in registers, and likewise eight rows of a table.
// A site's list is padded to a multiple of eight with a ghost site far away.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "cells.hpp"

extern "C" {

// Mirrored by `dynamics._System`.
struct gm_system {
    int32_t dimension, species_count, table_count, octaves, bits;
    int64_t n;
    const double *box;
    const int32_t *species;
    const double *diameters;  // null: cutoffs holds distances, else reduced cutoffs
    double non_additivity;
    const double *cutoffs;    // (S, S)
    const int32_t *table_of;  // (S, S)
    const double *rows;       // (T, R, 8)
    double longest_cutoff, skin;
};

}

namespace pairs {

typedef double v2 __attribute__((vector_size(16)));
typedef double v4 __attribute__((vector_size(32)));
typedef double v8 __attribute__((vector_size(64)));
typedef int64_t i8 __attribute__((vector_size(64)));
template <int N> struct Vector { typedef double type __attribute__((vector_size(8 * N))); };

// The elements I... of a followed by b.
template <int... I, class V>
inline auto pick(V a, V b) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, I...);
#else
    constexpr int width = sizeof(V) / sizeof(double);
    typename Vector<sizeof...(I)>::type out;
    int k = 0;
    ((out[k++] = I < width ? a[I % width] : b[I % width]), ...);
    return out;
#endif
}

// Eight-row transposes pay only inside the loop that uses them.
#define GM_INLINE inline __attribute__((always_inline))

constexpr int kLanes = 8;
constexpr double kFar = 1e30;  // where the ghost site is
constexpr int64_t kOne = 0x3ff0000000000000;

// Array of doubles on a cache line.
struct Block {
    std::unique_ptr<double, decltype(&std::free)> data{nullptr, &std::free};
    int64_t bytes = 0;
    void resize(int64_t size) {  // keeps what is there, as std::vector does
        const int64_t wanted = (std::max<int64_t>(size, 1) * 8 + 63) / 64 * 64;
        double *fresh = (double *)std::aligned_alloc(64, wanted);
        std::memset(fresh, 0, wanted);
        if (data) std::memcpy(fresh, data.get(), std::min(bytes, wanted));
        data.reset(fresh);
        bytes = wanted;
    }
    double *get() const { return data.get(); }
    double &operator[](int64_t k) const { return data.get()[k]; }
};

// --- eight rows in registers -----------------------------------------------------------

inline v8 join(v4 low, v4 high) { return pick<0, 1, 2, 3, 4, 5, 6, 7>(low, high); }
inline v4 join(v2 low, v2 high) { return pick<0, 1, 2, 3>(low, high); }
inline v4 low_half(v8 a) { return pick<0, 1, 2, 3>(a, a); }
inline v4 high_half(v8 a) { return pick<4, 5, 6, 7>(a, a); }
inline v8 evens(v8 a, v8 b) { return pick<0, 8, 2, 10, 4, 12, 6, 14>(a, b); }
inline v8 odds(v8 a, v8 b) { return pick<1, 9, 3, 11, 5, 13, 7, 15>(a, b); }
inline v8 first_pairs(v8 a, v8 b) { return pick<0, 1, 8, 9, 4, 5, 12, 13>(a, b); }
inline v8 second_pairs(v8 a, v8 b) { return pick<2, 3, 10, 11, 6, 7, 14, 15>(a, b); }

// Columns of the rows index[0..7] of an array with 4 (2) doubles a row.
GM_INLINE void load_columns(const double *x, const int32_t *index, v8 (&out)[4]) {
    v4 r[kLanes];
    for (int l = 0; l < kLanes; l++) r[l] = *(const v4 *)(x + 4 * (int64_t)index[l]);
    const v8 a = join(r[0], r[4]), b = join(r[1], r[5]), c = join(r[2], r[6]), d = join(r[3], r[7]);
    const v8 ab = evens(a, b), cd = evens(c, d), ba = odds(a, b), dc = odds(c, d);
    out[0] = first_pairs(ab, cd);
    out[1] = first_pairs(ba, dc);
    out[2] = second_pairs(ab, cd);
    out[3] = second_pairs(ba, dc);
}

GM_INLINE void load_columns(const double *x, const int32_t *index, v8 (&out)[2]) {
    v2 r[kLanes];
    for (int l = 0; l < kLanes; l++) r[l] = *(const v2 *)(x + 2 * (int64_t)index[l]);
    const v8 a = join(join(r[0], r[1]), join(r[2], r[3]));
    const v8 b = join(join(r[4], r[5]), join(r[6], r[7]));
    out[0] = pick<0, 2, 4, 6, 8, 10, 12, 14>(a, b);
    out[1] = pick<1, 3, 5, 7, 9, 11, 13, 15>(a, b);
}

// Subtract the columns from the rows index[0..7].
GM_INLINE void subtract_columns(double *f, const int32_t *index, const v8 (&in)[4]) {
    const v8 xy = evens(in[0], in[1]), yx = odds(in[0], in[1]);
    const v8 zw = evens(in[2], in[3]), wz = odds(in[2], in[3]);
    const v8 r04 = first_pairs(xy, zw), r15 = first_pairs(yx, wz);
    const v8 r26 = second_pairs(xy, zw), r37 = second_pairs(yx, wz);
    const v4 r[kLanes] = {low_half(r04),  low_half(r15),  low_half(r26),  low_half(r37),
                          high_half(r04), high_half(r15), high_half(r26), high_half(r37)};
    for (int l = 0; l < kLanes; l++) *(v4 *)(f + 4 * (int64_t)index[l]) -= r[l];
}

GM_INLINE void subtract_columns(double *f, const int32_t *index, const v8 (&in)[2]) {
    const v8 a = pick<0, 8, 1, 9, 2, 10, 3, 11>(in[0], in[1]);
    const v8 b = pick<4, 12, 5, 13, 6, 14, 7, 15>(in[0], in[1]);
    for (int l = 0; l < kLanes; l++) {
        const v8 &from = l < 4 ? a : b;
        const int k = 2 * (l % 4);
        *(v2 *)(f + 2 * (int64_t)index[l]) -= v2{from[k], from[k + 1]};
    }
}

// Columns of eight table rows.
GM_INLINE void load_table(const double *rows, i8 index, v8 (&out)[8]) {
    v8 r[kLanes];
    for (int l = 0; l < kLanes; l++) r[l] = *(const v8 *)(rows + 8 * index[l]);
    v8 s[kLanes];
    for (int l = 0; l < kLanes; l += 2) s[l] = evens(r[l], r[l + 1]), s[l + 1] = odds(r[l], r[l + 1]);
    v8 q[kLanes];
    for (int l = 0; l < kLanes; l += 4)
        for (int k = 0; k < 2; k++) {
            q[l + k] = first_pairs(s[l + k], s[l + k + 2]);
            q[l + k + 2] = second_pairs(s[l + k], s[l + k + 2]);
        }
    for (int k = 0; k < 4; k++) {
        out[k] = pick<0, 1, 2, 3, 8, 9, 10, 11>(q[k], q[k + 4]);
        out[k + 4] = pick<4, 5, 6, 7, 12, 13, 14, 15>(q[k], q[k + 4]);
    }
}

inline double total(v8 a) {
    double sum = 0;
    for (int l = 0; l < kLanes; l++) sum += a[l];
    return sum;
}

// --- the system -------------------------------------------------------------------------

template <int D>
struct System {
    static constexpr int S = D == 3 ? 4 : D;  // doubles a site

    const gm_system &given;
    const int64_t n, owned;  // sites; those given after the first `owned` are ghosts
    double edge[D];
    Block x, v, f, built;  // built: positions when the list was made
    std::vector<int32_t> species, id;
    std::vector<double> mass, diameter;
    std::vector<int32_t> image;  // (n, D), boxes crossed
    double energy = 0, virial[D][D] = {};
    int64_t builds = 0, evaluations = 0;

    System(const gm_system &system, const double *positions, const double *velocities,
           const double *masses)
        : System(system, system.n, positions, velocities, masses) {}

    // velocities: of the owned sites only; ghosts are moved by the caller.
    System(const gm_system &system, int64_t owned_sites, const double *positions,
           const double *velocities, const double *masses)
        : given(system), n(system.n), owned(owned_sites),
          species(system.species, system.species + system.n), id(system.n), mass(system.n, 1.0),
          image(D * system.n, 0) {
        for (int c = 0; c < D; c++) edge[c] = given.box[c];
        for (Block *block : {&x, &v, &f, &built}) block->resize(S * (n + 1));
        if (masses) mass.assign(masses, masses + n);
        if (given.diameters) diameter.assign(given.diameters, given.diameters + n);
        for (int64_t i = 0; i < n; i++) {
            id[i] = (int32_t)i;
            for (int c = 0; c < D; c++) {
                x[S * i + c] = positions[D * i + c];
                v[S * i + c] = velocities && i < owned ? velocities[D * i + c] : 0.0;
            }
        }
        build_list();
    }

    bool ghost(int64_t i) const { return id[i] >= owned; }

    // Copy an array of owned sites back in the order it came.
    void give_back(const Block &from, double *to) const {
        for (int64_t i = 0; i < n; i++)
            for (int c = 0; c < D && !ghost(i); c++) to[D * id[i] + c] = from[S * i + c];
    }

    void give_back_positions(double *to) const {
        for (int64_t i = 0; i < n; i++)
            for (int c = 0; c < D && !ghost(i); c++)
                to[D * id[i] + c] = x[S * i + c] + edge[c] * image[D * i + c];
    }

    // Forces, and with MEASURE the energy and the virial sum_pairs F_a r_b; renews the list
    // when a site has moved by half the skin.
    template <bool MEASURE>
    void compute() {
        if (stale()) build_list();
        evaluate<MEASURE>();
    }

    // The same over the list as it is.  Energy and virial are this rank's share: half of a pair
    // with a ghost.  Forces on ghosts are rubbish.
    template <bool MEASURE>
    void evaluate() {
        if (given.table_count > 1)
            compute_from<MEASURE, true>();
        else
            compute_from<MEASURE, false>();
        evaluations++;
    }

  private:
    std::vector<int64_t> start;  // first entry of each site's list
    std::vector<int32_t> partner, table;
    Block scale;  // 1 / r_c^2 of each entry

    bool stale() const {
        double worst = 0;
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            for (int c = 0; c < S; c++) {
                const double moved = x[S * i + c] - built[S * i + c];
                sum += moved * moved;
            }
            worst = std::max(worst, sum);
        }
        return !(worst <= 0.25 * given.skin * given.skin);
    }

    template <class T>
    void permute(std::vector<T> &values, const std::vector<int32_t> &order, int width) {
        if (values.empty()) return;
        const std::vector<T> old(values);
        for (int64_t i = 0; i < n; i++)
            for (int c = 0; c < width; c++) values[width * i + c] = old[width * order[i] + c];
    }

    void permute(Block &values, const std::vector<int32_t> &order) {
        std::vector<double> old(values.get(), values.get() + S * n);
        for (int64_t i = 0; i < n; i++)
            for (int c = 0; c < S; c++) values[S * i + c] = old[S * order[i] + c];
    }

    double cutoff(int64_t kind, int64_t i, int64_t j) const {
        const double c = given.cutoffs[kind];
        if (diameter.empty()) return c;
        const double difference = std::fabs(diameter[i] - diameter[j]);
        return c * 0.5 * (diameter[i] + diameter[j]) * (1 - given.non_additivity * difference);
    }

    void wrap() {
        for (int64_t i = 0; i < n; i++)
            for (int c = 0; c < D; c++) {
                double &at = x[S * i + c];
                if (!std::isfinite(at)) at = 0.5 * edge[c];  // the velocity stays NaN and tells
                const double folded = cells::wrap(at, edge[c]);
                image[D * i + c] += (int32_t)std::lrint((at - folded) / edge[c]);
                at = folded;
            }
    }

    void build_list() {
        builds++;
        wrap();
        const double reach = given.longest_cutoff + given.skin;
        const cells::Grid<D> grid(given.box, reach, n);
        std::vector<int64_t> first;
        std::vector<int32_t> order;
        cells::sort_by_cell<D>(grid, n, x.get(), S, first, order);
        for (Block *block : {&x, &v, &f}) permute(*block, order);
        permute(species, order, 1);
        permute(id, order, 1);
        permute(mass, order, 1);
        permute(diameter, order, 1);
        permute(image, order, D);
        std::memcpy(built.get(), x.get(), sizeof(double) * S * (n + 1));
        for (int c = 0; c < S; c++) x[S * n + c] = built[S * n + c] = kFar;

        std::vector<double> axis[D];
        for (int c = 0; c < D; c++) {
            axis[c].resize(n);
            for (int64_t i = 0; i < n; i++) axis[c][i] = x[S * i + c];
        }
        std::vector<double> square(n);
        std::vector<int32_t> near(n);
        std::vector<double> near_square(n);
        start.assign(n + 1, 0);
        int64_t entries = 0;
        int64_t touching[cells::kMostNeighbours];
        for (int64_t cell = 0; cell < grid.count; cell++) {
            if (first[cell] == first[cell + 1]) continue;
            const int cells_near = grid.neighbours(cell, touching);
            std::sort(touching, touching + cells_near);
            for (int64_t i = first[cell]; i < first[cell + 1]; i++) {
                int64_t found = 0;
                for (int q = 0; q < cells_near;) {
                    const int64_t begin = std::max(first[touching[q]], i + 1);
                    int64_t last = touching[q++];
                    while (q < cells_near && touching[q] == last + 1) last = touching[q++];
                    found = candidates(i, begin, first[last + 1], axis, reach * reach, square.data(),
                                       near.data(), near_square.data(), found);
                }
                entries = append(i, found, near.data(), near_square.data(), entries);
                start[i + 1] = entries;
            }
        }
    }

    // Sites begin..end-1 within the longest reach of site i, added to `near` behind `found`.
    int64_t candidates(int64_t i, int64_t begin, int64_t end, const std::vector<double> *axis,
                       double reach_square, double *square, int32_t *near, double *near_square,
                       int64_t found) const {
        const int64_t length = end - begin;
        const double *along[D];
        for (int c = 0; c < D; c++) along[c] = axis[c].data() + begin;
        for (int64_t k = 0; k < length; k++) {
            double sum = 0.0;
            for (int c = 0; c < D; c++) {
                double delta = along[c][k] - axis[c][i];
                delta -= delta > 0.5 * edge[c] ? edge[c] : 0.0;
                delta += delta < -0.5 * edge[c] ? edge[c] : 0.0;
                sum += delta * delta;
            }
            square[k] = sum;
        }
        for (int64_t k = 0; k < length; k++) {  // no branch: one in four is kept
            near[found] = (int32_t)(begin + k);
            near_square[found] = square[k];
            found += square[k] < reach_square;
        }
        return found;
    }

    // Turn the candidates within reach of their own cutoff into entries; pad to full lanes.
    int64_t append(int64_t i, int64_t found, const int32_t *near, const double *near_square,
                   int64_t entries) {
        const bool mine = !ghost(i);
        if (entries + found + kLanes > (int64_t)partner.size()) {
            const int64_t room = (entries + found) * 3 / 2 + 16 * n;
            partner.resize(room);
            table.resize(room);
            scale.resize(room);
        }
        const int32_t rows = given.octaves << given.bits;
        for (int64_t k = 0; k < found; k++) {
            const int32_t j = near[k];
            const int64_t kind = (int64_t)species[i] * given.species_count + species[j];
            const double r_c = cutoff(kind, i, j), within = r_c + given.skin;
            partner[entries] = j;
            scale[entries] = 1.0 / (r_c * r_c);
            table[entries] = given.table_of[kind] * rows;
            entries += (near_square[k] < within * within) & (mine || !ghost(j));
        }
        for (; entries % kLanes; entries++) {
            partner[entries] = (int32_t)n;
            scale[entries] = 1.0;
            table[entries] = 0;
        }
        return entries;
    }

    template <bool MEASURE, bool MANY>
    void compute_from() {
        const double innermost = std::ldexp(1.0, -given.octaves);
        const double outermost = std::nextafter(1.0, 0.0);
        const int shift = 52 - given.bits;
        int64_t pattern;
        std::memcpy(&pattern, &innermost, 8);
        const int64_t base = pattern >> shift;
        const int64_t mantissa = ((int64_t)1 << shift) - 1;

        std::memset(f.get(), 0, sizeof(double) * S * (n + 1));
        v8 energies{}, stress[D][D] = {};
        const v8 zero{};
        for (int64_t i = 0; i < n; i++) {
            const double *own = x.get() + S * i;
            v8 sum[D] = {};
            for (int64_t p = start[i]; p < start[i + 1]; p += kLanes) {
                v8 delta[S];
                load_columns(x.get(), &partner[p], delta);
                v8 square = zero;
                for (int c = 0; c < D; c++) {
                    v8 along = own[c] - delta[c];
                    along -= along > 0.5 * edge[c] ? zero + edge[c] : zero;
                    along += along < -0.5 * edge[c] ? zero + edge[c] : zero;
                    delta[c] = along;
                    square += along * along;
                }
                const v8 per_square = *(const v8 *)(scale.get() + p);
                const v8 z = square * per_square;
                const i8 inside = z < 1.0;
                v8 kept = inside ? z : zero + outermost;
                kept = kept < innermost ? zero + innermost : kept;
                const v8 excess = inside ? z - kept : zero;
                const i8 bits = (i8)kept;
                i8 row = (bits >> shift) - base;
                if (MANY)
                    for (int l = 0; l < kLanes; l++) row[l] += table[p + l];
                const v8 t = (v8)(((bits & mantissa) << given.bits) | kOne) - 1.0;
                v8 share = zero + 1.0;
                if (MEASURE && owned < n)
                    for (int l = 0; l < kLanes; l++)
                        if (inside[l] && (ghost(i) || ghost(partner[p + l]))) share[l] = 0.5;
                v8 b[8];
                load_table(given.rows, row, b);
                v8 slope = b[0] + t * (b[1] + t * (b[2] + t * (b[3] + t * b[4])));
                if (MEASURE) {
                    v8 value = t * (b[3] * 0.25 + t * (b[4] * 0.2));
                    value = t * (b[1] * 0.5 + t * (b[2] * (1.0 / 3.0) + value));
                    value = b[5] + b[6] * t * (b[0] + value);
                    value += excess * (slope + 0.5 * b[7] * excess);
                    energies += inside ? value * share : zero;
                }
                slope += b[7] * excess;
                const v8 pull = inside ? -2.0 * per_square * slope : zero;
                v8 force[S];
                for (int c = D; c < S; c++) force[c] = zero;
                for (int c = 0; c < D; c++) {
                    force[c] = pull * delta[c];
                    sum[c] += force[c];
                    if (MEASURE)
                        for (int e = 0; e < D; e++) stress[c][e] += force[c] * share * delta[e];
                }
                subtract_columns(f.get(), &partner[p], force);
            }
            for (int c = 0; c < D; c++) f[S * i + c] += total(sum[c]);
        }
        if (MEASURE) {
            energy = total(energies);
            for (int c = 0; c < D; c++)
                for (int e = 0; e < D; e++) virial[c][e] = total(stress[c][e]);
        }
    }
};

}  // namespace pairs
