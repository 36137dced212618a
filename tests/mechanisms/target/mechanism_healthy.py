"""Twenty sound models that must raise no alarm: what people compile, as small as it can be.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Each takes torch and the backend
and returns (step, parts), as programs of mechanisms do.
"""

import types


def _forward(torch, backend, module, *inputs, **more):
    """A compiled module called without gradients."""
    module = module.eval()
    compiled = torch.compile(module, backend=backend, **more)

    def step():
        with torch.no_grad():
            return compiled(*inputs)

    return step, (compiled,)


def _train(torch, backend, module, loss, *inputs):
    """A compiled module trained, the optimiser in eager."""
    compiled = torch.compile(module.train(), backend=backend)
    optimiser = torch.optim.SGD(module.parameters(), lr=1e-3)

    def step():
        optimiser.zero_grad()
        value = loss(compiled(*inputs))
        value.backward()
        optimiser.step()
        return value

    return step, (compiled,)


def _wrap(torch, forward, **parts):
    """A module of these parts with that forward."""

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)

    Model.forward = forward
    return Model()


def mlp(torch, backend):
    """Healthy: three layers."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8), nn.GELU())
    return _forward(torch, backend, model, torch.randn(4, 16))


def cnn(torch, backend):
    """Healthy: convolution, batch norm, pooling, classifier."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 7 * 7, 10)
    )
    return _forward(torch, backend, model, torch.randn(2, 3, 16, 16))


def transformer_encoder(torch, backend):
    """Healthy: torch's own encoder layer."""
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return _forward(torch, backend, layer, torch.randn(2, 5, 16))


def rnn(torch, backend):
    """Healthy: a recurrence written out."""
    nn = torch.nn

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 8)
        for t in range(x.shape[1]):
            h = torch.tanh(self.inside(x[:, t]) + self.again(h))
        return h

    return _forward(
        torch, backend, _wrap(torch, forward, inside=nn.Linear(4, 8), again=nn.Linear(8, 8)), torch.randn(2, 3, 4)
    )


def gru_cell(torch, backend):
    """Healthy: torch's own GRU cell in a loop."""

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 8)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return h * 2

    return _forward(torch, backend, _wrap(torch, forward, cell=torch.nn.GRUCell(4, 8)), torch.randn(2, 3, 4))


def dynamic_shapes(torch, backend):
    """Healthy: the batch changes at each call and is marked dynamic."""
    compiled = torch.compile(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()).eval(), backend=backend)
    rows = iter(range(3, 1000))

    def step():
        x = torch.randn(next(rows), 8)
        torch._dynamo.mark_dynamic(x, 0)
        with torch.no_grad():
            return compiled(x)

    return step, (compiled,)


def training(torch, backend):
    """Healthy: a training step with an optimiser."""
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    return _train(torch, backend, model, lambda out: out.square().mean(), torch.randn(4, 8))


def embedding_bag(torch, backend):
    """Healthy: embeddings summed, then a layer."""
    nn = torch.nn

    def forward(self, ids):
        return torch.relu(self.head(self.table(ids))) + 1

    model = _wrap(torch, forward, table=nn.EmbeddingBag(20, 8, mode="sum"), head=nn.Linear(8, 4))
    return _forward(torch, backend, model, torch.randint(0, 20, (3, 5)))


def residual(torch, backend):
    """Healthy: a skip around two layers."""
    nn = torch.nn

    def forward(self, x):
        return torch.relu(x + self.second(torch.relu(self.first(x))))

    return _forward(
        torch, backend, _wrap(torch, forward, first=nn.Linear(8, 8), second=nn.Linear(8, 8)), torch.randn(4, 8)
    )


def norm_chain(torch, backend):
    """Healthy: layer norms and pointwise."""
    nn = torch.nn
    model = nn.Sequential(nn.LayerNorm(16), nn.SiLU(), nn.LayerNorm(16), nn.Sigmoid())
    return _forward(torch, backend, model, torch.randn(4, 16))


def conv_transpose(torch, backend):
    """Healthy: up-sampling."""
    nn = torch.nn
    model = nn.Sequential(nn.ConvTranspose2d(4, 2, 2, stride=2), nn.LeakyReLU(), nn.Upsample(scale_factor=2))
    return _forward(torch, backend, model, torch.randn(1, 4, 4, 4))


def attention(torch, backend):
    """Healthy: scaled dot product attention with projections."""

    def forward(self, x):
        q, k, v = self.qkv(x).view(2, 6, 3, 2, 8).permute(2, 0, 3, 1, 4)
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(out.transpose(1, 2).reshape(2, 6, 16)).relu()

    nn = torch.nn
    model = _wrap(torch, forward, qkv=nn.Linear(16, 48), out=nn.Linear(16, 16))
    return _forward(torch, backend, model, torch.randn(2, 6, 16))


def grouped_query_attention(torch, backend):
    """Healthy: four heads of queries share two of keys, which are repeated as models of before 2.5 do."""

    # Heads come transposed, as models have them: of contiguous ones 2.1.2 itself asserts wrong strides.
    def forward(self, q, k, v):
        k, v = k.repeat_interleave(2, 2), v.repeat_interleave(2, 2)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True) * self.scale

    model = _wrap(torch, forward, scale=torch.nn.Parameter(torch.ones(8)))
    return _forward(torch, backend, model, torch.randn(1, 6, 4, 8), torch.randn(1, 6, 2, 8), torch.randn(1, 6, 2, 8))


def autocast(torch, backend):
    """Healthy: mixed precision in bfloat16."""
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 4)).eval()
    compiled, x = torch.compile(model, backend=backend), torch.randn(4, 8)

    def step():
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            return compiled(x)

    return step, (compiled,)


def checkpointing(torch, backend):
    """Healthy: activations computed again in backward."""
    from torch.utils.checkpoint import checkpoint

    def forward(self, x):
        return checkpoint(self.body, x, use_reentrant=False) + x

    body = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 8))
    return _train(torch, backend, _wrap(torch, forward, body=body), lambda out: out.sum(), torch.randn(4, 8))


def keywords(torch, backend):
    """Healthy: keyword arguments, one of them a number that stays."""

    def scaled(x, *, scale=2.0, bias=None):
        y = (x * scale).relu()
        return y if bias is None else y + bias

    compiled, x, bias = torch.compile(scaled, backend=backend), torch.randn(4, 8), torch.randn(8)
    return lambda: compiled(x, scale=3.0, bias=bias), (compiled,)


def several_outputs(torch, backend):
    """Healthy: a tuple and a dictionary come back."""

    def many(x):
        y = x.sin()
        return (y, {"square": y * y, "list": [y + 1, y.sum()]})

    compiled, x = torch.compile(many, backend=backend), torch.randn(4, 8)
    return lambda: compiled(x), (compiled,)


def functional(torch, backend):
    """Healthy: functions, no module."""
    functions = torch.nn.functional

    def score(x, weight, target):
        return functions.cross_entropy(functions.linear(functions.normalize(x), weight), target)

    compiled = torch.compile(score, backend=backend)
    x, weight, target = torch.randn(6, 8), torch.randn(3, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    return lambda: compiled(x, weight, target), (compiled,)


def buffers(torch, backend):
    """Healthy: a running mean in a buffer, changed in place at each call."""

    def forward(self, x):
        self.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
        return (x - self.mean).tanh()

    model = _wrap(torch, forward)
    model.register_buffer("mean", torch.zeros(8))
    return _forward(torch, backend, model, torch.randn(4, 8))


def tied_weights(torch, backend):
    """Healthy: input and output share a table, and it is trained."""
    nn = torch.nn

    def forward(self, ids):
        return self.head(torch.tanh(self.table(ids)))

    model = _wrap(torch, forward, table=nn.Embedding(12, 8), head=nn.Linear(8, 12, bias=False))
    model.head.weight = model.table.weight
    return _train(torch, backend, model, lambda out: out.logsumexp(-1).mean(), torch.randint(0, 12, (3, 5)))


HEALTHY = {
    name: value
    for name, value in sorted(globals().items())
    if isinstance(value, types.FunctionType) and (value.__doc__ or "").startswith("Healthy:")
}
"""Every sound model by its name."""
