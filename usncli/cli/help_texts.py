"""What ``--help`` says of each command, with an example; kept apart so that ``usn --help`` loads nothing else."""

from __future__ import annotations

ROOT = """Certified semantic robustness as a release gate: score, prune, certify and export vision networks.

Every option can also stand in usn.yaml, or in an environment variable: --min-certified is USN_MIN_CERTIFIED.
A flag goes before the environment, the environment before usn.yaml; --show-config of a command prints what holds.

Exit codes: 0 done or gate passed; 1 gate failed; 2 wrong usage or input; 3 internal error; 4 inconclusive; 5 nothing
to certify; 130 interrupted, and the same command goes on.

Example: usn demo
"""

COMMANDS = {
    "demo": """The whole chain on an embedded data set and a small network, without arguments or downloads.

    Trains a network as your existing checkpoint, then scores, prunes, certifies and exports it; ends with a table and
    an HTML page.

    Example: usn demo
    """,
    "doctor": """Show what this machine has and what to type for what is missing; then what a checkpoint will meet.

    With a checkpoint, given or named in usn.yaml: each operation that cannot be scored, cut, certified or exported, by
    layer, with what to do. With images and ranges too: the time and memory that usn certify will take, from a pilot of
    about 30 seconds. It takes the options of usn certify and reads its section of usn.yaml.

    Exit code 2 where something is missing, or the network cannot be certified as it is.

    Example: usn doctor model.onnx --data images --perturb brightness=0.1
    """,
    "init": """Look at a checkpoint and images, and write a commented usn.yaml.

    What can be found out is filled in, with the reason; what cannot is marked. No code from the file runs, and a
    usn.yaml that is there is never overwritten.

    Example: usn init model.onnx --data images
    """,
    "score": """Measure how unstable each group of channels is, and what a pruning ratio would cut.

    Example: usn score model.pt --arch my.networks:build --task keypoints --size 64 --data images --perturb contrast=0.1
    """,
    "finetune-prune": """Fine-tune while masking the least important channels, then remove them.

    Resumes when run again. The pruned network is one .safetensors file that needs neither pickle nor your model code.

    Example: usn finetune-prune model.pt --ratio 0.2 --criterion usn --data train --validation held-out
    """,
    "certify": """Prove for each image that no perturbation in a range changes the answer, or show one that does.

    Gate: --min-certified 0.9 ends with exit code 1 where too few are certified, 4 where unknowns keep it from passing.

    Example: usn certify pruned.safetensors --data images --perturb brightness=0.1 --tau 1 --min-certified 0.9
    """,
    "export": """Write ONNX, checked by onnx and compared with PyTorch by onnxruntime on real images.

    Above the tolerance nothing is written, and the exit code is 1. --vnnlib also writes the queries of usn certify for
    other verifiers.

    Example: usn export pruned.safetensors --data images --onnx model.onnx
    """,
    "check": """Prove a certificate anew for a network and images, without searching.

    Where something was changed, left out, or is of another network, nothing passes: exit code 1, and what it is. What
    the chosen engine can neither prove nor refute ends with 4.

    Example: usn check certificate.jsonl --model model.onnx --data images --tau 1 --perturb brightness=0.1
    """,
    "report": """Write one self-contained HTML page on finished runs: tables, plots, how to reproduce.

    Example: usn report usn-runs/score-model-1a2b3c4d usn-runs/certify-model-5e6f7a8b
    """,
}
"""By command, in the order of ``usn --help``; the module of a command has its name, with underscores."""
