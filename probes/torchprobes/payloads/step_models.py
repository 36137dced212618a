"""Models of compile.transformer and compile.train, in the size that fits the device.

Loaded as `torchdoctor_step_models`; standard library and torch 2.1 or later, parses on Python 3.8.
"""


def shape_of(where):
    """(batch, sequence, width, heads): large enough for a GPU to compute, small enough for a CPU to compile."""
    return (2, 64, 128, 4) if where.type == "cpu" else (8, 512, 1024, 16)


def dtype_of(torch, where):
    """bfloat16 where the device computes in it, else float32."""
    if where.type == "cpu":
        return torch.float32
    if where.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(where)[0] < 8:
        return torch.float16  # before Ampere bfloat16 is emulated
    return torch.bfloat16


def transformer(torch, where, blocks, dtype):
    """Blocks of pre-norm self-attention and a two-layer perceptron, without dropout: the same answer each time."""
    nn, functional = torch.nn, torch.nn.functional
    _, _, width, heads = shape_of(where)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            batch, length, _ = x.shape
            parts = self.qkv(self.before(x)).view(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            seen = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
            return x + self.down(functional.gelu(self.up(self.after(x))))

    torch.manual_seed(0)
    return nn.Sequential(*[Block() for _ in range(blocks)]).to(where).to(dtype)


def batch(torch, where, dtype, seed):
    """An input batch; the same numbers on every device."""
    size, length, width, _ = shape_of(where)
    return torch.randn(size, length, width, generator=torch.Generator().manual_seed(seed)).to(where).to(dtype)
