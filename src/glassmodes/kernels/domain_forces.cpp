// Forces and motion of the particles of one rank among ghosts of others', a step at a time.
//
// The caller keeps the ranks together: it sends displacements to the ghosts, adds up what the
// sums return over the ranks, and builds everything anew before a particle has moved by half
// the skin.  Between two calls nothing but the positions of ghosts comes from outside.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "pair_forces.hpp"

namespace {

using pairs::System;

struct Motion {
    virtual ~Motion() = default;
    virtual void pack(int64_t count, const int64_t *sites, double *moved) const = 0;
    virtual void unpack(const double *moved) = 0;
    virtual void forces(double *measured) = 0;
    virtual void fire_sums(double *sums) const = 0;
    virtual void fire_move(double back, double dt, double keep, double turn, double brake) = 0;
    virtual void drift(double factor, double dt) = 0;
    virtual void kick(double dt, double *sums) = 0;
    virtual void scale(double factor) = 0;
    virtual void give_back(double *positions, double *velocities, double *force) const = 0;
};

template <int D>
struct DomainMotion final : Motion {
    static constexpr int S = System<D>::S;
    const gm_system given;
    System<D> s;
    std::vector<int64_t> place, ghosts;  // where a site is now; where the ghosts are

    DomainMotion(const gm_system &system, int64_t owned, const double *positions,
                 const double *velocities, const double *masses)
        : given(system), s(given, owned, positions, velocities, masses), place(s.n),
          ghosts(s.n - owned) {
        for (int64_t k = 0; k < s.n; k++) place[s.id[k]] = k;
        std::copy(place.begin() + owned, place.end(), ghosts.begin());
    }

    void pack(int64_t count, const int64_t *sites, double *moved) const override {
        for (int64_t k = 0; k < count; k++)
            for (int c = 0; c < D; c++) {
                const int64_t at = S * place[sites[k]] + c;
                moved[D * k + c] = s.x[at] - s.built[at];
            }
    }

    void unpack(const double *moved) override {
        for (size_t k = 0; k < ghosts.size(); k++)
            for (int c = 0; c < D; c++) {
                const int64_t at = S * ghosts[k] + c;
                s.x[at] = s.built[at] + moved[D * k + c];
            }
    }

    void forces(double *measured) override {
        if (measured) {
            s.template evaluate<true>();
            measured[0] = s.energy;
            for (int c = 0; c < D; c++)
                for (int e = 0; e < D; e++) measured[1 + D * c + e] = s.virial[c][e];
        } else {
            s.template evaluate<false>();
        }
        for (int64_t at : ghosts)
            for (int c = 0; c < S; c++) s.f[S * at + c] = 0;
    }

    // Squared length of site i's row in an array of sites (ghosts count for nothing there).
    static double square(const double *row) {
        double sum = 0;
        for (int c = 0; c < S; c++) sum += row[c] * row[c];
        return sum;
    }

    double moved_square() const {
        double worst = 0;
        for (int64_t i = 0; i < s.n; i++) {
            double by[S];
            for (int c = 0; c < S; c++) by[c] = s.x[S * i + c] - s.built[S * i + c];
            worst = std::max(worst, square(by));
        }
        return worst;
    }

    void fire_sums(double *sums) const override {
        const double *v = s.v.get(), *f = s.f.get();
        double power = 0, push = 0, speed = 0, largest = 0, fastest = 0, hardest = 0;
        for (int64_t i = 0; i < s.n; i++) {
            double of_v = 0, of_f = 0;
            for (int c = 0; c < S; c++) {
                const double a = v[S * i + c], b = f[S * i + c];
                power += a * b;
                of_v += a * a;
                of_f += b * b;
                largest = std::max(largest, std::fabs(b));
            }
            push += of_f;
            speed += of_v;
            fastest = std::max(fastest, of_v);
            hardest = std::max(hardest, of_f);
        }
        const double found[] = {power, push, speed, largest, std::sqrt(fastest),
                                std::sqrt(hardest), std::sqrt(moved_square())};
        std::copy(std::begin(found), std::end(found), sums);
    }

    void fire_move(double back, double dt, double keep, double turn, double brake) override {
        double *x = s.x.get(), *v = s.v.get();
        const double *f = s.f.get();
        const double own = back > 0 ? 0.0 : 1.0;  // a step uphill is taken back, and stops
        for (int64_t k = 0; k < S * s.n; k++) {
            x[k] -= back * v[k];
            v[k] = brake * (keep * (own * v[k] + dt * f[k]) + turn * f[k]);
            x[k] += dt * v[k];
        }
    }

    void accelerate(double dt) {
        double *v = s.v.get();
        const double *f = s.f.get();
        for (int64_t i = 0; i < s.n; i++) {
            const double by = dt / s.mass[i];
            for (int c = 0; c < S; c++) v[S * i + c] += by * f[S * i + c];
        }
    }

    void drift(double factor, double dt) override {
        scale(factor);
        accelerate(0.5 * dt);
        double *x = s.x.get();
        const double *v = s.v.get();
        for (int64_t k = 0; k < S * s.n; k++) x[k] += dt * v[k];
    }

    void kick(double dt, double *sums) override {
        accelerate(dt);
        double twice_kinetic = 0, fastest = 0, hardest = 0;
        for (int64_t i = 0; i < s.n; i++) {
            const double of_v = square(s.v.get() + S * i);
            twice_kinetic += s.mass[i] * of_v;
            fastest = std::max(fastest, of_v);
            hardest = std::max(hardest, square(s.f.get() + S * i) / (s.mass[i] * s.mass[i]));
        }
        const double found[] = {twice_kinetic, std::sqrt(fastest), std::sqrt(hardest),
                                std::sqrt(moved_square())};
        std::copy(std::begin(found), std::end(found), sums);
    }

    void scale(double factor) override {
        double *v = s.v.get();
        for (int64_t k = 0; k < S * s.n; k++) v[k] *= factor;
    }

    void give_back(double *positions, double *velocities, double *force) const override {
        if (positions) s.give_back_positions(positions);
        if (velocities) s.give_back(s.v, velocities);
        if (force) s.give_back(s.f, force);
    }
};

}  // namespace

extern "C" {

// A rank's particles, owned ones first, then ghosts, in a box that may be a part of the whole
// one.  Null for an unknown dimension.  The arrays of `system` must outlive the motion.
void *gm_motion_start(const gm_system *system, int64_t owned, const double *positions,
                      const double *velocities, const double *masses) {
    switch (system->dimension) {
        case 2: return (Motion *)new DomainMotion<2>(*system, owned, positions, velocities, masses);
        case 3: return (Motion *)new DomainMotion<3>(*system, owned, positions, velocities, masses);
        case 4: return (Motion *)new DomainMotion<4>(*system, owned, positions, velocities, masses);
    }
    return nullptr;
}

void gm_motion_end(void *motion) { delete (Motion *)motion; }

// Displacements since the start of owned sites, (count, d), and those of all ghosts.
void gm_motion_pack(const void *motion, int64_t count, const int64_t *sites, double *moved) {
    ((const Motion *)motion)->pack(count, sites, moved);
}
void gm_motion_unpack(void *motion, const double *moved) { ((Motion *)motion)->unpack(moved); }

// measured: null, or (1 + d d): this rank's share of the energy and of the virial.
void gm_motion_forces(void *motion, double *measured) { ((Motion *)motion)->forces(measured); }

// sums: F.v, F.F, v.v, largest component of F, longest v, longest F, longest displacement.
void gm_motion_fire_sums(const void *motion, double *sums) {
    ((const Motion *)motion)->fire_sums(sums);
}

// Take back `back` times the velocity and stop (0: neither), then v = brake (keep (v + dt F) +
// turn F) and x += dt v.
void gm_motion_fire_move(void *motion, double back, double dt, double keep, double turn,
                         double brake) {
    ((Motion *)motion)->fire_move(back, dt, keep, turn, brake);
}

// First half of a step of velocity Verlet, after a factor on all velocities.
void gm_motion_drift(void *motion, double factor, double dt) {
    ((Motion *)motion)->drift(factor, dt);
}

// v += dt F / m.  sums: twice the kinetic energy, longest v, longest F / m, displacement.
void gm_motion_kick(void *motion, double dt, double *sums) { ((Motion *)motion)->kick(dt, sums); }

void gm_motion_scale(void *motion, double factor) { ((Motion *)motion)->scale(factor); }

// Of the owned sites, (owned, d) each or null; positions unwrapped.
void gm_motion_give_back(const void *motion, double *positions, double *velocities,
                         double *force) {
    ((const Motion *)motion)->give_back(positions, velocities, force);
}

}
