/* The chain of statmech_bn/online/mesoscopic.py, which states its equations.

   The expressions of a step are printed ahead of this text (statmech_bn/symbolic/step.py): rho and
   Q, and gamma; so is samples.cu. State of a learner, in global memory: rho, Q and gamma, in arrays
   of shape (3, learners, replicas). */

/* One step of one learner; `unit` is eta s/N, `gamma_unit` is eta_gamma s/N. */
__device__ inline void learn(
    const Worker& worker, const Batch& batch, double unit, double gamma_unit, double gamma_decay,
    double weight_decay, double& rho, double& q, double& gamma
) {
    const double root = sqrt(q), cosine = fmin(1.0, fmax(-1.0, rho / root));
    const double sine = sqrt(1.0 - cosine * cosine), size = SCALED ? gamma : root;
    Sums sums = respond(worker, batch, cosine, sine, size);
    if (!SCALED) sums.cu = sum_over_lanes(worker, sums.cu);
    sums.cv = sum_over_lanes(worker, sums.cv);
    sums.cc = sum_over_lanes(worker, sums.cc);
    const double keep = 1.0 - weight_decay * unit;
    unit *= (SCALED ? gamma / root : 1.0) / BATCH_SIZE;
    double next[2];
    moved(rho, root, sine, keep, unit, sums.cu, sums.cv, batch.rest * sums.cc, next);
    rho = next[0];
    q = next[1];
    if (SCALED) grown(gamma, gamma_unit, gamma_decay, sums.pull, &gamma);
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
