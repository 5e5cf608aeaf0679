/* Steps of all chains of committees, on the Directions that are written ahead of this text.

   State of a learner, in global memory: its numbers in an array (learners, replicas,
   UNITS (components + 2)), which are the components of its units, gamma and v. */

__device__ inline bool is_finite(
    double square, const double (&scale)[UNITS], const double (&readout)[UNITS]
) {
    bool fine = square < LARGEST_LENGTH * LARGEST_LENGTH;
    for (int k = 0; k < UNITS; ++k)
        fine = fine && fabs(scale[k]) < LARGEST_LENGTH && fabs(readout[k]) < LARGEST_LENGTH;
    return fine;
}

/* One step of one learner; returns whether it goes on. */
__device__ inline bool learn(
    const Worker& worker, const Batch& batch, const Directions& directions, const Rates& rates,
    double* weights
) {
    double *gamma = weights + UNITS * directions.layout.components, *v = gamma + UNITS;
    double rows[UNITS][DIRECTIONS], spread[UNITS], scale[UNITS], readout[UNITS];
    Gradient gradient;
    for (int k = 0; k < UNITS; ++k) {
        scale[k] = gamma[k];
        readout[k] = v[k];
    }
    directions.look(worker, weights, rows, spread);
    __syncwarp(worker.team); /* all have read what the first one writes */
    pull_back(worker, batch, rows, spread, rates, scale, readout, gradient);
    const double keep = 1.0 - rates.weight_decay * rates.unit;
    const double square = directions.move(worker, batch, keep, gradient, rows, weights);
    if (worker.lane == 0)
        for (int k = 0; k < UNITS; ++k) {
            gamma[k] = scale[k];
            v[k] = readout[k];
        }
    return is_finite(square, scale, readout);
}

/* Steps first_step ... last_step - 1 of all chains. Numbers of the times whose step is among them,
   or is last_step, go to `records` (times, learners, replicas, numbers), except of diverged learners.
   `room` is for `numbers_of_room` of each replica and group of learners. */
extern "C" __global__ void __launch_bounds__(THREADS) simulate(
    unsigned int key0, unsigned int key1, double dimension, double label_noise, double gamma_decay,
    double weight_decay, long long replicas, int learners, int learners_together,
    const double* learning_rate, const double* gamma_learning_rate, long long first_step,
    long long last_step, const double* factors, int recorded, int times,
    const long long* record_steps, const double* readout_learning_rate, const double* teacher,
    const double* teacher_readout, int components, int blocks, const long long* begin,
    const double* root, const double* others, const double* orthonormal, long long numbers_of_room,
    double* room, double* states, double* diverged_at, double* records
) {
    const long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    const Worker worker = {static_cast<int>(thread % LANES),
                           (0xFFFFFFFFu >> (32 - LANES)) << (threadIdx.x % 32 / LANES * LANES)};
    const long long replica = thread / LANES % replicas, group = thread / LANES / replicas;
    const long long first_learner = group * learners_together;
    const long long end = min(first_learner + learners_together, (long long)learners);
    const long long chains = replicas * learners;
    const int size = UNITS * (components + 2);
    const Layout layout = {components, blocks, begin, root, others, orthonormal};
    Directions directions(layout, room + thread / LANES * numbers_of_room);
    Batch batch;
    for (long long step = first_step;; ++step) {
        for (; recorded < times && record_steps[recorded] == step; ++recorded)
            for (long long k = first_learner; k < end; ++k) {
                const long long chain = k * replicas + replica;
                if (!isnan(diverged_at[chain])) continue;
                double* record = records + (recorded * chains + chain) * size;
                for (int j = worker.lane; j < size; j += LANES)
                    record[j] = states[chain * size + j];
            }
        if (step == last_step || first_learner >= end) return;
        Stream stream = {{key0, key1}, static_cast<unsigned int>(replica), 0};
        stream.step = step;
        draw_batch(worker, stream, label_noise, teacher, teacher_readout, batch);
        directions.draw_others(worker, stream);
        const double factor = factors[step - first_step] / dimension;
        for (long long k = first_learner; k < end; ++k) {
            const long long chain = k * replicas + replica;
            if (!isnan(diverged_at[chain])) continue;
            const Rates rates = {learning_rate[k] * factor, gamma_learning_rate[k] * factor,
                                 readout_learning_rate[k] * factor, gamma_decay, weight_decay};
            const bool fine = learn(worker, batch, directions, rates, states + chain * size);
            __syncwarp(worker.team); /* all have read what the first one writes */
            if (worker.lane == 0 && !fine) diverged_at[chain] = (step + 1) / dimension;
            __syncwarp(worker.team);
        }
    }
}
