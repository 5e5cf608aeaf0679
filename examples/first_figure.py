"""The first lines of the README, and their figure as a file: theory and the chain of N = 1000."""

import numpy as np

import statmech_bn as sbn

if __name__ == "__main__":
    setup = sbn.TeacherStudent(
        activation="relu", normalization="batch", batch_size=32, label_noise=0.5
    )
    start, time = sbn.OrderParameters(overlap=0.05, length=1.0, gamma=1.0), np.linspace(0, 20, 201)
    theory = sbn.macroscopic(setup, learning_rate=[0.3, 1, 3], time=time, start=start)
    chain = sbn.mesoscopic(setup, [0.3, 1, 3], time, start, dimension=1000, replicas=64)
    figure = sbn.plot.trajectories(theory, chain)
    print(*sbn.plot.save_figure(figure, "first_figure"), sep="\n")
