/* The chain of statmech_bn/online/chain/blocks.py, which states its equations.

   The expressions of a step are printed ahead of this text (statmech_bn/symbolic/step.py): what
   Matheron's rule adds, a component and a rest, and gamma; so is samples.cu, and the flags BY_LENGTH
   (the step is made orthogonal to w) and BY_COVARIANCE (in the fields' sense). State of a learner,
   in global memory: its components x, in an array of shape (learners, replicas, components), and
   L^2, the variance of its field, its covariance with the teacher's, and gamma, in one of shape
   (4, learners, replicas). A lane has every LANES-th pair of components, and their numbers. */

constexpr double ALIGNED = 1e-12;

struct Components {
    int size, rests;
    const double *root, *teacher, *others;
};

/* Calls f(j) for the components of a lane. */
template <class F>
__device__ inline void for_each(const Worker& worker, int size, F f) {
    for (int pair = worker.lane; 2 * pair < size; pair += LANES) {
        f(2 * pair);
        if (2 * pair + 1 < size) f(2 * pair + 1);
    }
}

/* Numbers of all components; a rest has one more, the length of what is outside of e1 and e2. */
__device__ inline void draw_components(
    const Worker& worker, const Stream& stream, const Components& components, double* numbers
) {
    const int first = components.size - components.rests;
    for (int pair = worker.lane; 2 * pair < components.size; pair += LANES) {
        double one, two;
        normals(draw(stream, COMPONENTS, pair), &one, &two);
        numbers[2 * pair] = one;
        if (2 * pair + 1 < components.size) numbers[2 * pair + 1] = two;
    }
    for_each(worker, components.size, [&](int j) {
        if (j < first) return;
        const double others = components.others[j - first];
        numbers[components.rests + j] =
            others > 0.0 ? sqrt(2.0 * standard_gamma(stream, 0.5 * others, j - first)) : 0.0;
    });
}

/* One step of one learner; `rate` is eta s/N, `gamma_unit` is eta_gamma s/N. */
__device__ inline void learn(
    const Worker& worker, const Batch& batch, const Components& components, const double* numbers,
    double spread_of_teacher, double rate, double gamma_unit, double gamma_decay,
    double weight_decay, double* x, double& square, double& variance, double& covariance,
    double& gamma
) {
    const double spread = sqrt(variance), length = sqrt(square);
    const double cosine = fmin(1.0, fmax(-1.0, covariance / (spread * spread_of_teacher)));
    double residual = 0.0, drawn_u = 0.0, drawn_v = 0.0;
    for_each(worker, components.size, [&](int j) {
        const double first = components.root[j] * x[j] / spread;
        const double second =
            components.root[j] * components.teacher[j] / spread_of_teacher - cosine * first;
        residual += second * second;
        drawn_u += first * numbers[j];
        drawn_v += second * numbers[j];
    });
    const double sine = sqrt(sum_over_lanes(worker, residual));
    drawn_u = sum_over_lanes(worker, drawn_u);
    drawn_v = sum_over_lanes(worker, drawn_v);
    drawn_v = sine > ALIGNED ? drawn_v / sine : 0.0;
    const double divisor = BY_LENGTH && !BY_COVARIANCE ? length : spread;
    const double size = SCALED ? gamma * spread / divisor : spread;
    Sums sums =
        respond(worker, batch, spread_of_teacher * cosine, spread_of_teacher * sine, size);
    const double along = sum_over_lanes(worker, sums.cu) / BATCH_SIZE;
    const double across = sum_over_lanes(worker, sums.cv) / BATCH_SIZE;
    const double squares = sum_over_lanes(worker, sums.cc);
    const double unit = rate * (SCALED ? gamma / divisor : 1.0);
    const double noise = fabs(unit) * sqrt(squares) / BATCH_SIZE;
    const double to_u = unit * along - noise * drawn_u;
    const double to_v = sine > ALIGNED ? (unit * across - noise * drawn_v) / sine : 0.0;
    const double turn = BY_LENGTH ? unit * along * spread / (divisor * divisor) : 0.0;
    const double keep = 1.0 - weight_decay * rate;
    double added[2];
    regressed(to_u, to_v, cosine, spread, spread_of_teacher, added);
    const int first = components.size - components.rests;
    double sum_square = 0.0, sum_variance = 0.0, sum_covariance = 0.0;
    for_each(worker, components.size, [&](int j) {
        const double root = components.root[j], teacher = components.teacher[j];
        double next;
        component(x[j], teacher, numbers[j], root, keep, turn, added[0], added[1], noise, &next);
        if (j >= first) lengthened(next, numbers[components.rests + j], root, noise, &next);
        x[j] = next;
        sum_square += next * next;
        sum_variance += root * root * next * next;
        sum_covariance += root * root * next * teacher;
    });
    square = sum_over_lanes(worker, sum_square);
    variance = sum_over_lanes(worker, sum_variance);
    covariance = sum_over_lanes(worker, sum_covariance);
    if (SCALED) grown(gamma, gamma_unit, gamma_decay, sums.pull * (spread / divisor), &gamma);
}

/* Steps first_step ... last_step - 1 of all chains. At those of the times whose step is among them,
   or is last_step, x goes to `records` (times, learners, replicas, components) and gamma to
   `scales` (times, learners, replicas), except of diverged learners. `numbers` is room for
   components + rests numbers of each replica and group of learners. */
extern "C" __global__ void __launch_bounds__(THREADS, 4) simulate(
    unsigned int key0, unsigned int key1, double dimension, double label_noise, double gamma_decay,
    double weight_decay, long long replicas, int learners, int learners_together,
    const double* learning_rate, const double* gamma_learning_rate, long long first_step,
    long long last_step, const double* factors, int recorded, int times,
    const long long* record_steps, int size, int rests, double spread_of_teacher,
    const double* root, const double* teacher, const double* others, double* numbers,
    double* weights, double* states, double* diverged_at, double* records, double* scales
) {
    const long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    const Worker worker = {static_cast<int>(thread % LANES),
                           (0xFFFFFFFFu >> (32 - LANES)) << (threadIdx.x % 32 / LANES * LANES)};
    const long long replica = thread / LANES % replicas, group = thread / LANES / replicas;
    const long long first_learner = group * learners_together;
    const long long end = min(first_learner + learners_together, (long long)learners);
    const long long chains = replicas * learners;
    const Components components = {size, rests, root, teacher, others};
    double* own = numbers + thread / LANES * (size + rests);
    Batch batch;
    for (long long step = first_step;; ++step) {
        for (; recorded < times && record_steps[recorded] == step; ++recorded)
            for (long long k = first_learner; k < end; ++k) {
                const long long chain = k * replicas + replica;
                if (!isnan(diverged_at[chain])) continue;
                double* record = records + (recorded * chains + chain) * size;
                const double* x = weights + chain * size;
                for_each(worker, size, [&](int j) { record[j] = x[j]; });
                if (worker.lane == 0)
                    scales[recorded * chains + chain] = states[3 * chains + chain];
            }
        if (step == last_step || first_learner >= end) return;
        Stream stream = {{key0, key1}, static_cast<unsigned int>(replica), 0};
        stream.step = step;
        draw_batch(worker, stream, label_noise, batch);
        draw_components(worker, stream, components, own);
        const double factor = factors[step - first_step] / dimension;
        for (long long k = first_learner; k < end; ++k) {
            const long long chain = k * replicas + replica;
            if (!isnan(diverged_at[chain])) continue;
            double square = states[chain], variance = states[chains + chain];
            double covariance = states[2 * chains + chain], gamma = states[3 * chains + chain];
            learn(worker, batch, components, own, spread_of_teacher, learning_rate[k] * factor,
                  gamma_learning_rate[k] * factor, gamma_decay, weight_decay,
                  weights + chain * size, square, variance, covariance, gamma);
            __syncwarp(worker.team); /* all have read what the first one writes */
            if (worker.lane == 0) {
                states[chain] = square;
                states[chains + chain] = variance;
                states[2 * chains + chain] = covariance;
                states[3 * chains + chain] = gamma;
                if (!(square < LARGEST_LENGTH * LARGEST_LENGTH && fabs(gamma) < LARGEST_LENGTH))
                    diverged_at[chain] = (step + 1) / dimension;
            }
            __syncwarp(worker.team);
        }
    }
}
