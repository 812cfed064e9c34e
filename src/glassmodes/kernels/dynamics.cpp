// Molecular dynamics and FIRE over the forces of pair_forces.hpp.

#include <cmath>
#include <cstdint>

#include "pair_forces.hpp"

namespace {

using pairs::System;

constexpr int kChain = 3;

// Nose-Hoover chain, Martyna et al., Mol. Phys. 87, 1117 (1996): positions eta, velocities w.
struct Chain {
    double eta[kChain], w[kChain];
    double time, freedom;  // relaxation time, number of degrees of freedom

    double inertia(int k, double temperature) const {
        return (k == 0 ? freedom : 1.0) * temperature * time * time;
    }

    // Push on link k over its inertia; twice the kinetic energy drives the first.
    double push(int k, double twice_kinetic, double temperature) const {
        const double drive = k == 0 ? twice_kinetic - freedom * temperature
                                    : inertia(k - 1, temperature) * w[k - 1] * w[k - 1] - temperature;
        return drive / inertia(k, temperature);
    }

    // Advance by dt at fixed positions; returns the factor for all velocities.
    double advance(double twice_kinetic, double temperature, double dt) {
        for (int k = kChain - 1; k >= 0; k--) {
            const double drag = k + 1 < kChain ? std::exp(-0.125 * dt * w[k + 1]) : 1.0;
            w[k] = (w[k] * drag + 0.25 * dt * push(k, twice_kinetic, temperature)) * drag;
        }
        const double factor = std::exp(-0.5 * dt * w[0]);
        twice_kinetic *= factor * factor;
        for (int k = 0; k < kChain; k++) eta[k] += 0.5 * dt * w[k];
        for (int k = 0; k < kChain; k++) {
            const double drag = k + 1 < kChain ? std::exp(-0.125 * dt * w[k + 1]) : 1.0;
            w[k] = (w[k] * drag + 0.25 * dt * push(k, twice_kinetic, temperature)) * drag;
        }
        return factor;
    }

    double energy(double temperature) const {
        double sum = freedom * temperature * eta[0];
        for (int k = 0; k < kChain; k++) {
            sum += 0.5 * inertia(k, temperature) * w[k] * w[k];
            if (k > 0) sum += temperature * eta[k];
        }
        return sum;
    }
};

template <int D>
double twice_kinetic(const System<D> &s) {
    double sum = 0;
    for (int64_t i = 0; i < s.n; i++) {
        double square = 0;
        for (int c = 0; c < D; c++) square += s.v[System<D>::S * i + c] * s.v[System<D>::S * i + c];
        sum += s.mass[i] * square;
    }
    return sum;
}

template <int D>
void kick(System<D> &s, double dt) {
    constexpr int S = System<D>::S;
    double *v = s.v.get();
    const double *f = s.f.get();
    for (int64_t i = 0; i < s.n; i++) {
        const double by = dt / s.mass[i];
        for (int c = 0; c < S; c++) v[S * i + c] += by * f[S * i + c];
    }
}

template <int D>
void drift(System<D> &s, double dt) {
    double *x = s.x.get();
    const double *v = s.v.get();
    for (int64_t k = 0; k < System<D>::S * s.n; k++) x[k] += dt * v[k];
}

template <int D>
void scale(System<D> &s, double factor) {
    double *v = s.v.get();
    for (int64_t k = 0; k < System<D>::S * s.n; k++) v[k] *= factor;
}

template <int D>
int molecular_dynamics(const gm_system &given, const double *mass, double *positions,
                       double *velocities, int64_t steps, double dt, double t_start, double t_end,
                       double thermostat_time, double *chain_state, int64_t every, double *trace,
                       int64_t *counts) {
    System<D> s(given, positions, velocities, mass);
    const bool thermostat = thermostat_time > 0;
    Chain chain;
    for (int k = 0; k < kChain; k++) {
        chain.eta[k] = chain_state[k];
        chain.w[k] = chain_state[kChain + k];
    }
    chain.time = thermostat_time;
    chain.freedom = (double)D * (s.n - 1);
    s.template compute<false>();
    double kinetic = twice_kinetic(s);
    int64_t recorded = 0;
    for (int64_t step = 1; step <= steps; step++) {
        const double temperature = t_start + (t_end - t_start) * ((double)step / steps);
        if (thermostat) {
            const double factor = chain.advance(kinetic, temperature, dt);
            scale(s, factor);
        }
        kick(s, 0.5 * dt);
        drift(s, dt);
        const bool sample = step % every == 0;
        if (sample)
            s.template compute<true>();
        else
            s.template compute<false>();
        kick(s, 0.5 * dt);
        kinetic = twice_kinetic(s);
        if (thermostat) {
            const double factor = chain.advance(kinetic, temperature, dt);
            scale(s, factor);
            kinetic *= factor * factor;
        }
        if (sample) {
            double *row = trace + 4 * recorded++;
            row[0] = s.energy;
            row[1] = 0.5 * kinetic;
            row[2] = s.energy + 0.5 * kinetic + (thermostat ? chain.energy(temperature) : 0.0);
            row[3] = temperature;
        }
    }
    for (int k = 0; k < kChain; k++) {
        chain_state[k] = chain.eta[k];
        chain_state[kChain + k] = chain.w[k];
    }
    s.give_back_positions(positions);
    s.give_back(s.v, velocities);
    counts[0] = s.evaluations;
    counts[1] = s.builds;
    return 0;
}

// FIRE 2.0, Guenole et al., Comput. Mater. Sci. 175, 109584 (2020), unit masses.
// state: time step, mixing alpha, steps downhill (-1: at rest), largest force component (out).
template <int D>
int fire(const gm_system &given, double *positions, double *velocities, int64_t steps,
         double tolerance, double dt_max, double longest_move, double *state, int64_t *counts) {
    constexpr int S = System<D>::S;
    constexpr double kGrow = 1.1, kShrink = 0.5, kAlpha = 0.25, kAlphaShrink = 0.99;
    constexpr int kDelay = 20;
    System<D> s(given, positions, velocities, nullptr);
    double dt = std::fmin(state[0], dt_max), alpha = state[1], downhill = state[2];
    double largest = 0;
    int64_t step = 0;
    const int64_t size = S * s.n;
    for (;; step++) {
        s.template compute<false>();
        double *x = s.x.get(), *v = s.v.get();
        const double *f = s.f.get();
        double power = 0, push = 0, speed = 0;
        largest = 0;
        for (int64_t k = 0; k < size; k++) {
            power += f[k] * v[k];
            push += f[k] * f[k];
            const double component = std::fabs(f[k]);
            largest = component > largest ? component : largest;
        }
        // the second test catches NaN
        if (largest <= tolerance || !(push < 1e300) || step == steps) break;
        if (power > 0) {
            if (++downhill > kDelay) {
                dt = std::fmin(dt * kGrow, dt_max);
                alpha *= kAlphaShrink;
            }
        } else {
            if (downhill >= 0) dt *= kShrink;
            downhill = 0;
            alpha = kAlpha;
            for (int64_t k = 0; k < size; k++) {
                x[k] -= 0.5 * dt * v[k];
                v[k] = 0;
            }
        }
        for (int64_t k = 0; k < size; k++) {
            v[k] += dt * f[k];
            speed += v[k] * v[k];
        }
        const double keep = 1 - alpha, turn = alpha * std::sqrt(speed / push);
        double fastest = 0;
        for (int64_t k = 0; k < size; k++) {
            v[k] = keep * v[k] + turn * f[k];
            const double component = std::fabs(v[k]);
            fastest = component > fastest ? component : fastest;
        }
        const double brake = fastest * dt > longest_move ? longest_move / (fastest * dt) : 1.0;
        for (int64_t k = 0; k < size; k++) {
            v[k] *= brake;
            x[k] += dt * v[k];
        }
    }
    state[0] = dt;
    state[1] = alpha;
    state[2] = downhill;
    state[3] = largest;
    s.give_back_positions(positions);
    s.give_back(s.v, velocities);
    counts[0] = s.evaluations;
    counts[1] = s.builds;
    return step < steps || largest <= tolerance ? 0 : 2;
}

template <int D>
int forces(const gm_system &given, const double *positions, double *force, double *energy,
           double *virial) {
    System<D> s(given, positions, nullptr, nullptr);
    s.template compute<true>();
    s.give_back(s.f, force);
    *energy = s.energy;
    for (int c = 0; c < D; c++)
        for (int e = 0; e < D; e++) virial[D * c + e] = s.virial[c][e];
    return 0;
}

}  // namespace

#define GM_BY_DIMENSION(FUNCTION, ...)                   \
    switch (system->dimension) {                         \
        case 2: return FUNCTION<2>(*system, __VA_ARGS__); \
        case 3: return FUNCTION<3>(*system, __VA_ARGS__); \
        case 4: return FUNCTION<4>(*system, __VA_ARGS__); \
    }                                                    \
    return 1;

extern "C" {

// All return 1 for an unknown dimension.  Positions come back unwrapped, in the order given.

int gm_pair_forces(const gm_system *system, const double *positions, double *force,
                   double *energy, double *virial) {
    GM_BY_DIMENSION(forces, positions, force, energy, virial)
}

// trace: (steps / every, 4) potential and kinetic energy, conserved quantity, temperature aimed
// at.  counts: force evaluations and list builds.
int gm_molecular_dynamics(const gm_system *system, const double *mass, double *positions,
                          double *velocities, int64_t steps, double dt, double t_start,
                          double t_end, double thermostat_time, double *chain, int64_t every,
                          double *trace, int64_t *counts) {
    GM_BY_DIMENSION(molecular_dynamics, mass, positions, velocities, steps, dt, t_start, t_end,
                    thermostat_time, chain, every, trace, counts)
}

// Returns 0 when the largest force component is within the tolerance, 2 when steps ran out.
int gm_fire(const gm_system *system, double *positions, double *velocities, int64_t steps,
            double tolerance, double dt_max, double longest_move, double *state,
            int64_t *counts) {
    GM_BY_DIMENSION(fire, positions, velocities, steps, tolerance, dt_max, longest_move, state,
                    counts)
}

}
