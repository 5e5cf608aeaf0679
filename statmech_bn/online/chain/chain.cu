/* The chain of statmech_bn/online/mesoscopic.py, which states its equations.

   The expressions of a step are printed ahead of this text (statmech_bn/symbolic/step.py): what
   passes back through the statistics, rho and Q, and gamma.

   LANES neighbouring threads of a warp simulate a replica together; each holds SLOTS of the
   BATCH_SIZE samples of the step in registers, and sums over the samples go through the warp. The
   threads of a replica may do so for several learners (learning rates), one after the other, for
   which they draw the samples once. State of a learner, in global memory: rho, Q and gamma, in
   arrays of shape (3, learners, replicas).

   Written ahead of this text: BATCH_SIZE, GROUP (samples that share statistics), LANES, THREADS
   (of a block), LARGEST_LENGTH, the flags SCALED (there is a gamma), OF_BATCH (statistics are those
   of the samples) and NOISY (labels), the functions value and value_and_slope of the activation,
   random_numbers.cu. */

constexpr int SLOTS =
    LANES == 1 ? BATCH_SIZE : 2 * ((BATCH_SIZE + 2 * LANES - 1) / (2 * LANES));
/* Loops over slots are unrolled while the samples fit into registers, which have no index. */
constexpr int UNROLLED = SLOTS <= 8 ? SLOTS : 1;
constexpr int GROUPS = BATCH_SIZE / GROUP;

struct Batch {
    double u[SLOTS], v[SLOTS], noise[SLOTS], normalized[SLOTS], spread[GROUPS], rest;
};

/* One of the threads that share a replica, and which threads of the warp these are. */
struct Worker {
    int lane;
    unsigned int team;
};

__device__ inline double sum_over_lanes(const Worker& worker, double x) {
    for (int distance = LANES / 2; distance > 0; distance /= 2)
        x += __shfl_xor_sync(worker.team, x, distance, LANES);
    return x;
}

__device__ inline bool holds(const Worker& worker, int slot) {
    return LANES * SLOTS == BATCH_SIZE || worker.lane * SLOTS + slot < BATCH_SIZE;
}

__device__ inline bool holds(const Worker& worker, int slot, int group) {
    return holds(worker, slot) &&
           (GROUPS == 1 || (worker.lane * SLOTS + slot) / GROUP == group);
}

/* Sample m has the same numbers in whichever slot it is. */
__device__ inline void draw_batch(
    const Worker& worker, const Stream& stream, double label_noise, Batch& batch
) {
#pragma unroll UNROLLED
    for (int slot = 0; slot < SLOTS; ++slot) {
        const unsigned int m = worker.lane * SLOTS + slot;
        normals(draw(stream, FIELDS, m), &batch.u[slot], &batch.v[slot]);
        if (NOISY && slot % 2 == 0) {
            double second;
            normals(draw(stream, LABELS, m / 2), &batch.noise[slot], &second);
            if (slot + 1 < SLOTS) batch.noise[slot + 1] = label_noise * second;
            batch.noise[slot] *= label_noise;
        }
    }
    if (!OF_BATCH) return;
    for (int group = 0; group < GROUPS; ++group) {
        double mean = 0.0, variance = 0.0;
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot)
            mean += holds(worker, slot, group) ? batch.u[slot] : 0.0;
        mean = sum_over_lanes(worker, mean) / GROUP;
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot) {
            const double deviation = batch.u[slot] - mean;
            variance += holds(worker, slot, group) ? deviation * deviation : 0.0;
        }
        batch.spread[group] = sqrt(sum_over_lanes(worker, variance) / GROUP);
        const double inverse = 1.0 / batch.spread[group];
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot)
            if (GROUPS == 1 || holds(worker, slot, group))
                batch.normalized[slot] = (batch.u[slot] - mean) * inverse;
    }
}

/* One step of one learner; `unit` is eta s/N, `gamma_unit` is eta_gamma s/N. */
__device__ inline void learn(
    const Worker& worker, const Batch& batch, double unit, double gamma_unit, double gamma_decay,
    double weight_decay, double& rho, double& q, double& gamma
) {
    const double* student = OF_BATCH ? batch.normalized : batch.u;
    const double root = sqrt(q), cosine = fmin(1.0, fmax(-1.0, rho / root));
    const double sine = sqrt(1.0 - cosine * cosine), size = SCALED ? gamma : root;
    double delta[SLOTS], pull = 0.0, cu = 0.0, cv = 0.0, cc = 0.0;
#pragma unroll UNROLLED
    for (int slot = 0; slot < SLOTS; ++slot) {
        double target, output[2];
        value(cosine * batch.u[slot] + sine * batch.v[slot], &target);
        value_and_slope(size * student[slot], output);
        if (NOISY) target += batch.noise[slot];
        delta[slot] = holds(worker, slot) ? output[1] * (target - output[0]) : 0.0;
    }
    for (int group = 0; group < GROUPS; ++group) {
        double mean = 0.0, along = 0.0;
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot) {
            if (GROUPS > 1 && !holds(worker, slot, group)) continue;
            mean += delta[slot];
            along += delta[slot] * student[slot];
        }
        if (OF_BATCH) mean = sum_over_lanes(worker, mean) / GROUP;
        if (SCALED) along = sum_over_lanes(worker, along) / GROUP;
        const double narrowing = OF_BATCH ? 1.0 / batch.spread[group] : 1.0;
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot) {
            if (!holds(worker, slot, group)) continue;
            double c = delta[slot];
            if (OF_BATCH) passed(c, mean, student[slot], along, &c);
            c *= narrowing;
            cu += c * batch.u[slot];
            cv += c * batch.v[slot];
            cc += c * c;
        }
        pull += along / GROUPS;
    }
    if (!SCALED) cu = sum_over_lanes(worker, cu);
    cv = sum_over_lanes(worker, cv);
    cc = sum_over_lanes(worker, cc);
    const double keep = 1.0 - weight_decay * unit;
    unit *= (SCALED ? gamma / root : 1.0) / BATCH_SIZE;
    double next[2];
    moved(rho, root, sine, keep, unit, cu, cv, batch.rest * cc, next);
    rho = next[0];
    q = next[1];
    if (SCALED) grown(gamma, gamma_unit, gamma_decay, pull, &gamma);
}

/* Steps first_step ... last_step - 1 of all chains. Those of the times whose step is among them,
   or is last_step, go to `records` (times, 3, learners, replicas), except of diverged learners.
   Four blocks on a multiprocessor leave 128 registers to a thread, a choice that has not been measured. */
extern "C" __global__ void __launch_bounds__(THREADS, 4) simulate(
    unsigned int key0, unsigned int key1, double dimension, double label_noise, double gamma_decay,
    double weight_decay, long long replicas, int learners, int learners_together,
    const double* learning_rate, const double* gamma_learning_rate, long long first_step,
    long long last_step, const double* factors, int recorded, int times,
    const long long* record_steps, double* states, double* diverged_at, double* records
) {
    const long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    const Worker worker = {static_cast<int>(thread % LANES),
                           (0xFFFFFFFFu >> (32 - LANES)) << (threadIdx.x % 32 / LANES * LANES)};
    const long long replica = thread / LANES % replicas, group = thread / LANES / replicas;
    const long long first_learner = group * learners_together;
    const long long end = min(first_learner + learners_together, (long long)learners);
    const long long chains = replicas * learners;
    double upcoming = 0.0;
    Batch batch;
    for (long long step = first_step;; ++step) {
        for (; recorded < times && record_steps[recorded] == step; ++recorded)
            for (long long k = first_learner; k < end; ++k) {
                const long long chain = k * replicas + replica;
                if (worker.lane != 0 || !isnan(diverged_at[chain])) continue;
                const double root = sqrt(states[chains + chain]);
                double* record = records + 3 * recorded * chains + chain;
                record[0] = fmin(1.0, fmax(-1.0, states[chain] / root));
                record[chains] = root;
                record[2 * chains] = states[2 * chains + chain];
            }
        if (step == last_step || first_learner >= end) return;
        /* Each lane makes the gamma draw of another of the next LANES steps. */
        Stream stream = {{key0, key1}, static_cast<unsigned int>(replica), 0};
        const int turn = static_cast<int>((step - first_step) % LANES);
        if (turn == 0) {
            stream.step = step + worker.lane;
            upcoming = 2.0 * standard_gamma(stream, 0.5 * (dimension - 2.0));
        }
        batch.rest = LANES == 1 ? upcoming : __shfl_sync(worker.team, upcoming, turn, LANES);
        stream.step = step;
        draw_batch(worker, stream, label_noise, batch);
        const double factor = factors[step - first_step] / dimension;
        for (long long k = first_learner; k < end; ++k) {
            const long long chain = k * replicas + replica;
            if (!isnan(diverged_at[chain])) continue;
            double rho = states[chain], q = states[chains + chain];
            double gamma = states[2 * chains + chain];
            learn(worker, batch, learning_rate[k] * factor, gamma_learning_rate[k] * factor,
                  gamma_decay, weight_decay, rho, q, gamma);
            __syncwarp(worker.team); /* all have read what the first one writes */
            if (worker.lane == 0) {
                states[chain] = rho;
                states[chains + chain] = q;
                states[2 * chains + chain] = gamma;
                if (!(q < LARGEST_LENGTH * LARGEST_LENGTH && fabs(gamma) < LARGEST_LENGTH))
                    diverged_at[chain] = (step + 1) / dimension;
            }
            __syncwarp(worker.team);
        }
    }
}
