"""Cards of `compute.*`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_HEALTH = "torchdoctor gpus    # ECC errors, XIDs and clocks of this GPU"

_SPEED: tuple[Card, ...] = (
    Card(
        id="TD-CPT-001",
        title="A matrix product raised an error",
        why="Multiplying two square matrices is the first thing that every model does. The whole traceback is an "
        "artifact of this probe; CUBLAS_STATUS_ALLOC_FAILED means that the GPU's memory is full, NOT_INITIALIZED often "
        "that a cuBLAS of another CUDA version is found first.",
        fix=Fix(command="env -u LD_LIBRARY_PATH python <your script>"),
        source="measured",
    ),
    Card(
        id="TD-CPT-002",
        title="A matrix product is wrong",
        why="A block of the product was held against float64, and every number must be finite. Rounding explains the "
        "limit; more is a broken GPU, a broken driver or a broken library, and trains no model.",
        fix=Fix(command=_HEALTH, scope=Scope.GPU, needs=("drained",)),
        source="measured: 0.21 machine epsilons in bf16 and fp16 on CPU and H200",
    ),
    Card(
        id="TD-CPT-003",
        title="Matrix products are slower than on a sound GPU of this kind",
        why="The rate of a large product of random numbers is below 85 % of what such GPUs are known to reach. What "
        "slows all of them: somebody else's work on the GPU, heat, a lowered power limit or locked clocks.",
        fix=Fix(command="nvidia-smi -q -d PERFORMANCE,CLOCK,POWER    # what holds the clocks"),
        source="peak x achievable share, see the figure's source; stas00/ml-engineering",
    ),
    Card(
        id="TD-CPT-004",
        title="Matrix products run at less than half of the rate of a sound GPU of this kind",
        why="Neither shape nor driver explains the loss of half the rate. The GPU is throttled, shared, or broken.",
        fix=Fix(command="nvidia-smi -q -d PERFORMANCE,CLOCK,POWER    # what holds the clocks", scope=Scope.GPU),
        source="peak x achievable share, see the figure's source; stas00/ml-engineering",
    ),
    Card(
        id="TD-CPT-005",
        title="No peak is known for this GPU",
        why="Names are matched as a whole: a MIG slice, a vGPU, a laptop part and a card that is not listed have no "
        "known peak, and a guess by the beginning of a name is wrong by a factor of two (A10 and A10G, H100 SXM and "
        "PCIe). The figures stand; compare them with another node's.",
        fix=Fix(command="torchdoctor compare THIS.json ANOTHER.json"),
        source="torchprobes/judge/peaks.py",
    ),
    Card(
        id="TD-CPT-006",
        title="The power limit was lowered, and products are slow",
        why="A large product takes all the power that the limit allows: the clock falls until it fits.",
        fix=Fix(command="nvidia-smi -i GPU -pl DEFAULT_WATTS", scope=Scope.GPU, needs=("root",)),
        source="NVML: enforced against default power limit",
    ),
    Card(
        id="TD-CPT-007",
        title="Clocks are held down, and products are slow",
        why="While the product ran, the driver named heat, the board's power brake, a hardware slowdown or clocks that "
        "an application had set as what holds the clock.",
        fix=Fix(
            command="nvidia-smi -i GPU -rgc    # if clocks were locked; else fans, airflow and power cabling",
            scope=Scope.GPU,
            needs=("root",),
        ),
        source="nvml.h: nvmlClocksEventReason*",
    ),
    Card(
        id="TD-CPT-008",
        title="Too noisy to tell whether this GPU is slow",
        why="The rate is low, but single runs differ so much that something else must be working on the GPU.",
        fix=Fix(command="torchdoctor check compute.gemm    # again, on an idle machine"),
        source="measured",
    ),
)

_INT8 = Card(
    id="TD-CPT-009",
    title="int8 products overflow on this CPU",
    why="torch._int_mm calls oneDNN, which without AVX512-VNNI adds pairs of products in 16 bits: large operands "
    "saturate and the result is wrong without any error. Quantised models use this product.",
    fix=Fix(command="python -m pip install 'torch>=2.6'"),
    source="https://github.com/pytorch/pytorch/issues/136746, mended by pull request 136942; measured on 2.4.1",
    versions="2.4 and 2.5, CPUs without AVX512-VNNI",
)

_SLOW_BF16 = Card(
    id="TD-CPT-010",
    title="bf16 products are slower than float32 on this CPU",
    why="Without AVX512-BF16, AMX or their like there is no fast kernel for bf16, and PyTorch takes a plain one. "
    "Autocast to bf16 and models loaded in bf16 run many times slower than in float32 here.",
    fix=Fix(command="model.float()    # and no torch.autocast('cpu') on this machine"),
    source="measured: 2.7 against 110 GFLOP/s on a CPU with AVX2 alone, torch 2.13",
)

_NUMBERS: tuple[Card, ...] = (
    Card(
        id="TD-CPT-020",
        title="The environment makes float32 less exact than the program asks for",
        why="These variables put TF32 in force for every program, whatever it sets: 10 bits of mantissa instead of 23. "
        "Training mostly bears it; solvers, statistics and tests against references do not.",
        fix=Fix(command="unset NVIDIA_TF32_OVERRIDE TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
        source="https://pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices",
    ),
    Card(
        id="TD-CPT-021",
        title="float32 products run in full precision: TF32 would be faster",
        why="This is PyTorch's default since 1.12 and no fault. Where 10 bits of mantissa are enough, as they are for "
        "most training, one line makes float32 products several times faster.",
        fix=Fix(command="torch.set_float32_matmul_precision('high')"),
        source="https://pytorch.org/docs/stable/generated/torch.set_float32_matmul_precision.html",
    ),
    Card(
        id="TD-CPT-022",
        title='"highest" does not multiply in float32 on this device',
        why="The error of the product against float64 is that of fewer bits, though the strictest setting was in "
        "force. A device's own library decides so, whatever PyTorch's flags say.",
        source="measured: 3e-7 is float32, 3e-4 TF32, 1.7e-3 bf16 operands",
    ),
    Card(
        id="TD-CPT-023",
        title="A float32 product or convolution is wrong",
        why="The error against float64 is larger than any precision explains.",
        fix=Fix(command=_HEALTH, scope=Scope.GPU, needs=("drained",)),
        source="measured: 3e-7 is float32, 3e-4 TF32, 1.7e-3 bf16 operands",
    ),
    Card(
        id="TD-CPT-024",
        title="Convolutions run in TF32 by default, products do not",
        why="cuDNN's switch is on by default and cuBLAS's is off. A comparison with a reference in float32 fails for "
        "the convolutions alone.",
        fix=Fix(command="torch.backends.cudnn.allow_tf32 = False    # if float32 must be float32"),
        source="https://pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices",
    ),
    Card(
        id="TD-CPT-025",
        title="The environment forbids TF32, and programs that ask for it run slowly",
        why="NVIDIA_TF32_OVERRIDE=0 is read by cuBLAS and cuDNN themselves: no setting of PyTorch brings TF32 back.",
        fix=Fix(command="unset NVIDIA_TF32_OVERRIDE"),
        source="https://docs.nvidia.com/cuda/cublas/ (NVIDIA_TF32_OVERRIDE)",
    ),
    Card(
        id="TD-CPT-030",
        title="A basic operation raised an error",
        why="Products, convolution, softmax, layer norm and attention in float32, bf16 and fp16 are what models are "
        "made of. The whole traceback is an artifact of this probe.",
        fix=Fix(command="env -u LD_LIBRARY_PATH python <your script>    # a foreign cuDNN or cuBLAS comes first"),
        source="measured",
    ),
    Card(
        id="TD-CPT-031",
        title="A basic operation is wrong",
        why="Its result was held against float64 on the CPU, computed from the same rounded operands, so that the "
        "number format explains nothing. An answer that changes when repeated points to the GPU's memory or a race, "
        "one that is wrong twice the same way to a library.",
        fix=Fix(command=_HEALTH, scope=Scope.GPU, needs=("drained",)),
        source="measured: 0.21 machine epsilons in bf16 and fp16, 2 to 3 in float32",
    ),
    Card(
        id="TD-CPT-032",
        title="A basic operation is less exact than its format allows",
        why="Sums in 16 bits, or fewer bits than the setting promises. cuBLAS may add up bf16 and fp16 products in 16 "
        "bits where it splits a long sum.",
        fix=Fix(
            command="torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False    # and fp16's",
        ),
        source="https://pytorch.org/docs/stable/notes/numerical_accuracy.html",
    ),
    Card(
        id="TD-CPT-033",
        title="bf16 is emulated on this GPU",
        why="torch.cuda.is_bf16_supported() says yes for an emulation too. Without bf16 units every product is done in "
        "float32 with conversions around it: slower than float32 itself, while fp16 has units of its own.",
        fix=Fix(command="use torch.float16 with torch.amp.GradScaler on this GPU"),
        source="https://github.com/pytorch/pytorch/pull/148322",
        versions="the argument including_emulation is there from 2.4",
    ),
)

_LINKS: tuple[Card, ...] = (
    Card(
        id="TD-CPT-040",
        title="A copy changed the bytes",
        why="What came back differs from what was sent. Nothing that this device computes can be trusted.",
        fix=Fix(command=_HEALTH, scope=Scope.GPU, needs=("drained",)),
        source="every byte compared",
    ),
    Card(
        id="TD-CPT-041",
        title="The GPU's memory is slower than on a sound GPU of this kind",
        why="A copy on the device, read and write counted, is below 85 % of what such memory is known to reach. "
        "Normalisation, optimizers, attention at inference and everything else that is not a product goes as fast as "
        "this.",
        fix=Fix(command="nvidia-smi -q -d CLOCK,ECC,ROW_REMAPPER    # memory clock, errors, remapped rows"),
        source="peak x achievable share, see the figure's source",
    ),
    Card(
        id="TD-CPT-042",
        title="The GPU's memory runs at less than half of its rate",
        why="The memory clock is held down, or something else uses the memory at the same time.",
        fix=Fix(command="nvidia-smi -q -d CLOCK,ECC,ROW_REMAPPER    # memory clock, errors, remapped rows"),
        source="peak x achievable share, see the figure's source",
    ),
    Card(
        id="TD-CPT-043",
        title="Copies between host and GPU are slower than the PCIe link allows",
        why="The link's generation and width were read while the copies ran, and pinned copies reach far less. Common "
        "causes: the process runs on the other socket's cores, an IOMMU in translating mode, a virtual machine, or "
        "others' traffic on the same switch.",
        fix=Fix(
            command="numactl --cpunodebind=NODE --membind=NODE python <your script>    # NODE of nvidia-smi topo -m"
        ),
        source="PCI Express line rates; measured on an H200: 55.3 of 63 GB/s",
    ),
    Card(
        id="TD-CPT-044",
        title="The PCIe link is narrower than card and slot allow",
        why="Under load the link should run at full generation and width. One that does not was trained down: a dirty "
        "or loose card, a riser, or a slot that is wired for less.",
        fix=Fix(command="sudo lspci -vv -s BUS_ID | grep -E 'LnkCap|LnkSta'", scope=Scope.NODE, needs=("root",)),
        source="NVML: current against maximum link, read while copies ran",
    ),
    Card(
        id="TD-CPT-046",
        title="Pinned memory cannot be had",
        why="Without it every copy to the GPU goes through a staging buffer, slower and never at the same time as "
        "computing. Usual causes: a container's limit on locked memory, or its memory limit.",
        fix=Fix(command="ulimit -l unlimited    # in a container: --ulimit memlock=-1"),
        source="torch.Tensor.pin_memory",
    ),
    Card(
        id="TD-CPT-050",
        title="Bytes change on their way from one GPU to another",
        why="The copy reported success and delivered something else. Known from consumer cards whose driver claims "
        "peer access that the board does not carry, and from PCIe switches with ACS or an IOMMU in the way. Gradients "
        "are destroyed without any error.",
        fix=Fix(
            command="export NCCL_P2P_DISABLE=1    # until IOMMU and ACS are off in the firmware, or the driver is newer"
        ),
        source="https://github.com/NVIDIA/nccl-tests/issues/117",
    ),
    Card(
        id="TD-CPT-051",
        title="A copy from one GPU to another raised an error",
        why="The driver refused a copy between two GPUs of this machine. The whole traceback is an artifact of this "
        "probe.",
        fix=Fix(command="nvidia-smi topo -p2p r    # what the driver says of each pair"),
        source="torch.Tensor.copy_ between devices",
    ),
    Card(
        id="TD-CPT-052",
        title="NVLink is slower than on a sound pair of this kind",
        why="Peer access and links are there, and a copy is below 85 % of what they carry: links that are down, or "
        "somebody else's traffic.",
        fix=Fix(command="nvidia-smi nvlink -s    # state and speed of every link"),
        source="NVLink rate as sold, see the figure's source",
    ),
    Card(
        id="TD-CPT-053",
        title="GPUs have no peer access to each other",
        why="Copies between them go through the host's memory, at half of PCIe's rate or less. On GeForce cards since "
        "the RTX 40 series this is how they are sold.",
        source="torch.cuda.can_device_access_peer",
    ),
)

_ATTENTION: tuple[Card, ...] = (
    Card(
        id="TD-CPT-060",
        title="scaled_dot_product_attention raised an error",
        why="The default must find a kernel for any shape. The whole traceback is an artifact of this probe.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source="https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html",
    ),
    Card(
        id="TD-CPT-061",
        title="An attention kernel is wrong",
        why="Two heads of its answer were held against float64.",
        fix=Fix(command="with torch.nn.attention.sdpa_kernel(SDPBackend.MATH):    # or another back end that is right"),
        source="measured: 2e-3 in bf16, 3e-7 in float32",
    ),
    Card(
        id="TD-CPT-062",
        title="Attention runs unfused on a GPU that has fused kernels",
        why="The math kernel writes the whole matrix of scores to memory: many times slower, and its memory grows with "
        "the square of the length. PyTorch's own reasons stand beside it.",
        fix=Fix(command="python -m pip install --upgrade torch    # a build with flash and memory-efficient attention"),
        source="measured on an H200: math 5.08 ms, flash 0.156, cuDNN 0.100",
    ),
    Card(
        id="TD-CPT-063",
        title="A fused attention kernel cannot be used here",
        why="It was forced for a plain causal shape and PyTorch said why it cannot run. Another fused kernel is taken.",
        source="warnings of torch.nn.attention.sdpa_kernel",
    ),
    Card(
        id="TD-CPT-064",
        title="Which attention kernel ran could not be read",
        why="The answer is right, but the profile names no attention operation.",
        fix=Fix(command="python -c 'import torch; print(torch.profiler.supported_activities())'"),
        source="torch.profiler",
    ),
    Card(
        id="TD-CPT-065",
        title="PyTorch's choice of attention kernel is not the fastest here",
        why="Another fused kernel, forced by hand, was clearly faster for that shape on this GPU.",
        fix=Fix(command="with torch.nn.attention.sdpa_kernel(SDPBackend.CUDNN_ATTENTION):    # the one that is named"),
        source="measured",
        versions="2.3 and later; cuDNN from 2.5",
    ),
)

_GRADIENTS: tuple[Card, ...] = (
    Card(
        id="TD-CPT-070",
        title="A gradient is wrong",
        why="torch.autograd.gradcheck compared it with finite differences in float64.",
        fix=Fix(command=_HEALTH, scope=Scope.GPU),
        source="https://pytorch.org/docs/stable/notes/gradcheck.html",
    ),
    Card(
        id="TD-CPT-071",
        title="Backward raised an error",
        why="Forward and backward of plain layers must work. The whole traceback is an artifact of this probe.",
        source="torch.autograd",
    ),
    Card(
        id="TD-CPT-072",
        title="Gradients are missing, zero, or no numbers after one training step",
        why="A small network with a convolution, norms and a linear layer was trained for one step. Every parameter "
        "must have a finite gradient that is not all zero.",
        fix=Fix(
            command="torch.autograd.set_detect_anomaly(True)    # names the forward line of the first bad gradient"
        ),
        source="measured",
    ),
    Card(
        id="TD-CPT-073",
        title="gradcheck sees nothing here",
        why="A backward that is wrong on purpose passed: what it says of the others means nothing.",
        source="torch.autograd.gradcheck",
    ),
    Card(
        id="TD-CPT-090",
        title="The same seed gives different random numbers",
        why="torch.manual_seed must fix the device's generator.",
        source="https://pytorch.org/docs/stable/notes/randomness.html",
    ),
    Card(
        id="TD-CPT-091",
        title="Operations give other bits when repeated",
        why="They add in parallel, in whatever order the hardware comes to it. The answers are right to rounding, but "
        "two runs of one training are not bit for bit the same.",
        fix=Fix(command="torch.use_deterministic_algorithms(True)"),
        source="https://pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html",
    ),
    Card(
        id="TD-CPT-092",
        title="Operations differ though deterministic algorithms were asked for",
        why="PyTorch gave no warning for them, so a program that counts on it is not reproducible and is not told.",
        source="https://pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html",
    ),
    Card(
        id="TD-CPT-093",
        title="Deterministic products need CUBLAS_WORKSPACE_CONFIG",
        why="cuBLAS shares its workspace between streams. Under use_deterministic_algorithms(True) products raise an "
        "error until the variable is set.",
        fix=Fix(command="export CUBLAS_WORKSPACE_CONFIG=:4096:8"),
        source="https://docs.nvidia.com/cuda/cublas/#results-reproducibility",
    ),
    Card(
        id="TD-CPT-094",
        title="An operation raised an error while it was repeated",
        why="Plain operations must run in both modes. The whole traceback is an artifact of this probe.",
        source="torch",
    ),
    Card(
        id="TD-CPT-095",
        title="Some operations have no deterministic algorithm on this device",
        why="PyTorch says so itself: with use_deterministic_algorithms(True) they raise an error.",
        source="https://pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html",
    ),
)

CARDS: tuple[Card, ...] = (*_SPEED, _INT8, _SLOW_BF16, *_NUMBERS, *_LINKS, *_ATTENTION, *_GRADIENTS)
