"""Plant bugs in the mathematics, one at a time, and see that the tests catch every one.

``make mutants``.  Each mutant replaces one piece of text, which must occur exactly once, in a copy of the package, and
runs the tests that are expected to fail on it.  The selections must pass on the package as it is.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 240


class Mutant(NamedTuple):
    """A planted bug.

    Attributes
    ----------
    name
        What is wrong.
    file
        Under src/fewlabels.
    old, new
        The text replaced, and by what.
    tests
        Test file and, after a blank, an expression that selects among its tests.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


LABELS, SAMPLERS, OBJECTIVES = "test_labels.py", "test_samplers.py", "test_objectives.py"
NRF, NCE, PL = "objectives/nrf.py", "objectives/nce.py", "objectives/pseudo_likelihood.py"
LM, POTENTIAL, TRAIN = "sequence/language_model.py", "sequence/potential.py", "train.py"

MUTANTS = [
    Mutant("transitions transposed, log-partition", "labels.py", "self.e.T.contiguous()", "self.e.contiguous()",
           f"{LABELS} log_partition_score"),
    Mutant("transitions transposed, marginals", "labels.py", "transitions.T, self.lengths)", "transitions, self.lengths)",
           f"{LABELS} marginals_equal"),
    Mutant("transitions transposed, samples", "labels.py", "transitions[:, y[-1]].T", "transitions[y[-1]]",
           f"{LABELS} samples_have"),
    Mutant("samples ignore the mask", "labels.py", "torch.where(inside[:, t], earlier, at_end)", "earlier",
           f"{LABELS} samples_have"),
    Mutant("transitions transposed, score", "labels.py", "self.transitions[y[:, :-1], y[:, 1:]]",
           "self.transitions[y[:, 1:], y[:, :-1]]", f"{LABELS} log_partition_score"),
    Mutant("transitions transposed, Viterbi", "labels.py", "(best.unsqueeze(2) + transitions).max(1)",
           "(best.unsqueeze(2) + transitions.T).max(1)", f"{LABELS} log_partition_score"),
    Mutant("marginals behind the end", "labels.py", "joint.masked_fill(~self._inside().unsqueeze(-1), 0.0)", "joint",
           f"{LABELS} marginals_equal"),
    Mutant("Viterbi ignores the mask", "labels.py", "torch.where(inside[:, t, None], value + emissions[:, t], best)",
           "value + emissions[:, t]", f"{LABELS} log_partition_score"),
    Mutant("score ignores the mask of transitions", "labels.py", "moved.masked_fill(~inside[:, 1:], 0).sum(1)",
           "moved.sum(1)", f"{LABELS} log_partition_score"),
    Mutant("marginals not mirrored back", "labels.py", "forward + _mirror(mirrored, self.lengths) - emissions",
           "forward + mirrored - emissions", f"{LABELS} marginals_equal"),
    Mutant("pair marginals without the transition weight", "labels.py", "pairs = self.e * torch.bmm", "pairs = torch.bmm",
           f"{LABELS} finite_differences"),
    Mutant("guard of the rescaled recursion always content", "labels.py", "return ~(exponent < 600.0)",
           "return exponent.isinf() & False", f"{LABELS} far_beyond or comes_back"),
    Mutant("guard looks at single steps only", "labels.py", "[1:].sum(0) - log_c.amin(0)", "[1:].amax(0) - log_c.amin(0)",
           f"{LABELS} comes_back"),
    Mutant("sign of the entropy", "labels.py", "return -(log_p.exp() * log_p).sum(-1)",
           "return (log_p.exp() * log_p).sum(-1)", f"{LABELS} entropy"),
    Mutant("√ε for √(2ε)", "samplers.py", "scale = (2 * (1 - momentum) * step_size)", "scale = ((1 - momentum) * step_size)",
           f"{SAMPLERS} moments_of_a_correlated"),
    Mutant("momentum without the factor (1 - β)", "samplers.py", "scale = (2 * (1 - momentum) * step_size)",
           "scale = (2 * step_size)", f"{SAMPLERS} sghmc_has"),
    Mutant("chain descends", "samplers.py", "        velocity = momentum * velocity + step_size * _gradient(u, x)",
           "        velocity = momentum * velocity - step_size * _gradient(u, x)", f"{SAMPLERS} by_hand"),
    Mutant("h-step on the x before its move", "samplers.py", "        x = x + velocity_x\n\n        def log_q(h: Tensor, x: Tensor = x)",
           "        y, x = x, x + velocity_x\n\n        def log_q(h: Tensor, x: Tensor = y)", f"{SAMPLERS} every_new_h"),
    Mutant("generator evaluated at the first h only", "samplers.py", "-(x - generate(h)).flatten(1)",
           "-(x - start).flatten(1)", f"{SAMPLERS} revision"),
    Mutant("latent prior left out", "samplers.py", " - h.square().sum(1) / 2", " - 0 * h.square().sum(1)",
           f"{SAMPLERS} flat_u"),
    Mutant("h-step downhill", "samplers.py", "return -(x - generate(h))", "return (x - generate(h))", f"{SAMPLERS} revision"),
    Mutant("generator evaluated at an earlier h", "samplers.py", "latent_step_size * _gradient(log_q, h)",
           "latent_step_size * _gradient(log_q, h - velocity_h)", f"{SAMPLERS} every_new_h"),
    Mutant("gradient through the chain", "samplers.py", "    start = x = x.detach()\n", "    start = x\n", f"{OBJECTIVES} players"),
    Mutant("proposals at the latent before its revision", NRF, "            chain, h = revise(", "            chain, _ = revise(",
           f"{OBJECTIVES} latent"),
    Mutant("sign of the control", "objectives/likelihood.py", "= control * u_data", "= -control * u_data",
           f"{OBJECTIVES} control_and"),
    Mutant("sign of the entropy term", NRF, "self.entropy * labels.entropy()", "-self.entropy * labels.entropy()",
           f"{OBJECTIVES} control_and"),
    Mutant("sign of the likelihood", "objectives/likelihood.py", "u_samples.mean() - u_data.mean()",
           "u_data.mean() - u_samples.mean()", f"{OBJECTIVES} gradient_is_exact"),
    Mutant("control term without effect", "objectives/likelihood.py", "control * u_data.square().mean()",
           "control * u_samples.square().mean() * 0", f"{OBJECTIVES} players"),
    Mutant("entropy of samples in place of data", NRF, "labels.entropy()[: len(data)].mean()",
           "labels.entropy().detach().mean()", f"{OBJECTIVES} players"),
    Mutant("generator target not held fixed: proposals detached", NRF, "(chain.x - proposals)", "(chain.x - proposals.detach())",
           f"{OBJECTIVES} players"),
    Mutant("latents drawn from the wrong prior", NRF, "torch.randn if self.revise_latent else torch.rand",
           "torch.rand if self.revise_latent else torch.randn", f"{OBJECTIVES} by_hand"),
    Mutant("noise left on where p(x) is at stake", "objective.py", "    potential.eval()\n    try", "    try",
           f"{OBJECTIVES} noise"),
    Mutant("potential left in evaluation mode", "objective.py", "potential.train(training)", "pass", f"{OBJECTIVES} noise"),
    Mutant("replay buffer written in the forward pass", "objectives/persistent_cd.py", "        self._drawn = slot, chain.x\n",
           "        self._drawn = slot, chain.x\n        self.buffer[slot] = chain.x\n", f"{OBJECTIVES} written_back"),
    Mutant("no restarts", "objectives/persistent_cd.py", "torch.where(restarts.view", "torch.where(~restarts.view",
           f"{OBJECTIVES} restarts or written_back"),
    Mutant("log ν left out", NCE, " - torch.tensor(float(self.noise_ratio)).log()", "", "test_nce.py mixture"),
    Mutant("length prior left out", NCE, "return u + self.length_prior[lengths].log() - (", "return u - (",
           "test_nce.py by_hand"),
    Mutant("no interpolation: half of the positives are negatives", NCE,
           "log_odds[: 2 * count], log_odds[2 * count :]", "log_odds[:count], log_odds[count:]", "test_nce.py mixture"),
    Mutant("gradient through log q of the data", NCE, "torch.cat([log_q_data.detach(), log_q_drawn])",
           "torch.cat([log_q_data, log_q_drawn])", f"{OBJECTIVES} players"),
    Mutant("log-normaliser calibrated on every batch", NCE, "self.calibrated.fill_(True)", "self.calibrated.fill_(False)",
           "test_nce.py calibrates"),
    Mutant("stop symbol allowed first", LM, "masked_fill((position == 0).unsqueeze(1)", "masked_fill((position < 0).unsqueeze(1)",
           "test_nce.py sums_to_one or frequencies"),
    Mutant("certain stop scored as a choice", LM, "clamp(max=self.longest - 1)", "clamp(max=self.longest)",
           "test_nce.py sums_to_one or frequencies"),
    Mutant("ranking without log π", PL, "(own - self.log_noise[present]).unsqueeze(1)", "own.unsqueeze(1)",
           "test_sequence.py exact_pseudo"),
    Mutant("site scores see their own word", POTENTIAL, "torch.cat([encoded.before, encoded.after], -1)",
           "torch.cat([encoded.at[..., : encoded.before.shape[-1]], encoded.after], -1)", "test_sequence.py site_scores"),
    Mutant("backward states not mirrored", POTENTIAL, "after, at = (_take(part, mirror) for part in",
           "after, at = (part for part in", "test_sequence.py padding or around"),
    Mutant("stop scores at the padded end", POTENTIAL, "(position == lengths.unsqueeze(1) - 1)",
           "(position == emissions.shape[1] - 1).expand(len(lengths), -1)", "test_sequence.py stop"),
    Mutant("randomness does not depend on the step", TRAIN, "_seed_global(_mix(*seed, step))", "_seed_global(_mix(*seed))",
           "test_train.py new_noise"),
    Mutant("randomness does not depend on the stage", TRAIN, "stage, seed = self.stage, (self.seed, self.number)",
           "stage, seed = self.stage, (self.seed,)", "test_train.py every_stage"),
    Mutant("gradients accumulate", TRAIN, "        optimizer.zero_grad()\n", "", "test_train.py steps_by_hand"),
    Mutant("learning rates not halved after divergence", TRAIN, " * 0.5**self.calms", "", "test_train.py divergence_is"),
    Mutant("average not applied", TRAIN, "            self.potential.load_state_dict(self.average.module.state_dict())",
           "            pass", "test_train.py average"),
    Mutant("optimiser state not restored", TRAIN, '        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))\n', "",
           "test_train.py killed"),
    Mutant("average not restored", TRAIN, '            self.average.load_state_dict(state["average"])', "            pass",
           "test_train.py killed"),
    Mutant("average decays the wrong way", TRAIN, "values, 1 - min(decay", "values, min(decay", "test_train.py average"),
    Mutant("divergence not noticed", TRAIN, "        if not value.isfinite():", "        if value.isposinf():",
           "test_train.py divergence"),
    Mutant("step sizes not halved after divergence", TRAIN, "            self.stage.objective.calm()", "            pass",
           "test_train.py divergence"),
    Mutant("labelled stream shares the unlabelled one's seed", "batches.py", "min(labelled, len(x)), (seed, 0))",
           "min(labelled, len(x)), (seed, 0, unlabelled))", "test_train.py labelled_half"),
    Mutant("passes repeat one order", "batches.py", "        return np.random.default_rng([*self.seed, epoch]).permutation(self.n)",
           "        return np.random.default_rng([*self.seed]).permutation(self.n)", "test_train.py every_pass"),
    Mutant("weights not normalised", "layers.py", "torch._weight_norm(self.v, self.g, 0)", "self.g * self.v",
           "test_layers.py norm"),
    Mutant("initialisation from data without the mean", "layers.py", "self.b.copy_(-units.mean(1) * scale)", "self.b.zero_()",
           "test_layers.py standardises"),
    Mutant("RMSprop without its running mean", "layers.py", "torch._foreach_mul_(squares, 0.9)",
           "torch._foreach_mul_(squares, 0.0)", "test_layers.py rmsprop"),
    Mutant("unlabelled rows in test folds", "model_selection.py", "train = np.concatenate([labelled[fold_of != fold], rest])",
           "train, test = labelled[fold_of != fold], np.concatenate([test, rest])", "test_selection.py fold"),
    Mutant("held-out labels trained on", "estimation.py", "train(kept, setting, SHORTER", "train(rows, setting, SHORTER",
           "test_selection.py not_seen_the_held_out"),
    Mutant("the worst candidate is chosen", "selection.py", "best = min(range", "best = max(range", "test_selection.py fewest"),
    Mutant("ties go against supervised training", "selection.py", "(scores[i][0], scores[i][1], i))",
           "(scores[i][0], scores[i][1], -i))", "test_selection.py tie"),
    Mutant("a diverged candidate counts as perfect", "selection.py", "return [[1.0] * len(held_out)", "return [[0.0] * len(held_out)",
           "test_selection.py diverge"),
    Mutant("scaling by rows", "scaling.py", "spread = x.std(0)", "spread = x.std(0) * 0 + x.std()", "test_selection.py scaling"),
]  # fmt: skip


def run(selection: str, source: Path) -> tuple[bool, str]:
    """Whether the selected tests pass on a copy of the package, and the end of what they printed."""
    file, *expression = selection.split(maxsplit=1)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{file}"]
    command += ["-k", expression[0]] if expression else []
    variables = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return False, "timed out"
    if done.returncode == 5:
        raise SystemExit(f"no test is selected by {selection!r}")
    return done.returncode == 0, done.stdout[-2000:]


def try_mutant(mutant: Mutant) -> tuple[Mutant, bool, float]:
    """Plant a bug in a fresh copy and run its tests: (mutant, caught, seconds)."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        path = source / "fewlabels" / mutant.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.name}: its text occurs {text.count(mutant.old)} times in {mutant.file}")
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        passed, _ = run(mutant.tests, source)
    return mutant, not passed, time.monotonic() - started


def main() -> int:
    """Try every mutant; the exit code is 0 where all are caught."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        selections = sorted({mutant.tests for mutant in MUTANTS})
        for selection, (passed, output) in zip(
            selections, pool.map(lambda s: run(s, ROOT / "src"), selections), strict=True
        ):
            if not passed:
                print(f"fails without a bug: {selection}\n{output}")
                return 1
        caught = 0
        for mutant, was_caught, seconds in pool.map(try_mutant, MUTANTS):
            caught += was_caught
            print(f"{'caught' if was_caught else 'SURVIVED':9} {seconds:5.1f} s  {mutant.name}", flush=True)
    print(f"caught {caught}/{len(MUTANTS)}")
    return int(caught < len(MUTANTS))


if __name__ == "__main__":
    sys.exit(main())
