"""serving.fastapi: does a model answer rightly from a FastAPI process, and does the server stay awake meanwhile?

The server is a process of its own on the loopback: FastAPI, uvicorn and torch in one interpreter, the model on the
device. This process is the client: it holds every answer against a model of its own on the CPU, and asks for
`/health` while four clients keep the server at work, first through a `def` handler (a worker thread), then through an
`async def` one (the event loop itself). FastAPI and uvicorn are imported inside functions; nothing stands in for them.
Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import http.client
import json
import os
import threading
import time

import torchdoctor_collectives as collectives
import torchdoctor_kit as kit
import torchdoctor_measure as measure

PACKAGES = ("fastapi", "uvicorn")
CLIENTS = 4
LOAD_S = 2.0
HEALTH_EVERY_S = 0.02
IDLE_CHECKS = 50
START_LIMIT_S = 60.0
CALL_LIMIT_S = 20.0
SEEDS = 8
WIDTH, BATCH = 512, 64
LAYERS = 4
TOLERANCE = 2e-3
"""Relative distance of an answer from the CPU's: float32 kernels differ by 1e-6, another order of sums by little."""

HANDLERS = {"def": "/run", "async def": "/run-in-the-loop"}


def run(request):
    """The probe, or the server that it asks."""
    if request.params.get("role") == "server":
        _serve(request)
        return
    absent = [name for name in PACKAGES if kit.lacks(name)]
    if absent:
        raise kit.Skip("not in this Python: %s; pip install %s" % (" and ".join(absent), " ".join(PACKAGES)))
    torch = kit.import_torch()
    measure.device(torch, request.device)
    expected = _expected(torch)
    port_file = os.path.join(request.artifacts, "port")
    begin = time.perf_counter()
    server = kit.start_self("server", port_file=port_file)
    try:
        with measure.alone(torch.device(request.device)):
            _examine(server, port_file, begin, expected)
    finally:
        _end(server)


def _model(torch, where):
    torch.manual_seed(0)
    layers = []
    for _ in range(LAYERS):
        layers += [torch.nn.Linear(WIDTH, WIDTH), torch.nn.GELU()]
    return torch.nn.Sequential(*layers).eval().to(where)


def _answer(torch, model, where, seed):
    """The model's output for one seeded batch, summed over its rows: small enough for a reply, any error shows."""
    batch = torch.randn((BATCH, WIDTH), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model(batch.to(where)).double().sum(dim=0)[:16].cpu().tolist()


def _expected(torch):
    where = torch.device("cpu")
    model = _model(torch, where)
    return [_answer(torch, model, where, seed) for seed in range(SEEDS)]


# --- the client ----------------------------------------------------------------------------------------------------


def _examine(server, port_file, begin, expected):
    port = _wait_for(server, port_file, begin)
    if port is None:
        return
    kit.figure("cold_start_s", time.perf_counter() - begin, "s")
    tally, load_s = _Tally(expected), float(kit.request.params.get("load_s", LOAD_S))
    client = _Client(port, tally)
    first = client.infer("/run", 0)
    if first is not None:
        kit.figure("first_inference_us", first, "us")
    idle = [client.health() for _ in range(IDLE_CHECKS)]
    kit.figure("health_p50_us", collectives.quantile(idle, 0.5), "us", n=len(idle), handler="none")
    for handler, path in HANDLERS.items():
        kit.progress("%d clients call a %s handler" % (CLIENTS, handler))
        _tell_load(handler, *_load(port, path, tally, load_s))
    kit.fact("serving.alive", server.poll() is None, "exit code %s" % server.poll())
    kit.fact("serving.failures", tally.failed, tally.why or "no request failed")
    words = "%d of %d answers within %g of the CPU's" % (tally.right, tally.answered, TOLERANCE)
    kit.fact("serving.answers", "right" if tally.answered and tally.right == tally.answered else "wrong", words)


def _wait_for(server, port_file, begin):
    """The port once `/health` answers 200; None, told, if the server ended or is not there in time."""
    why = "it opened no port"
    while time.perf_counter() - begin < START_LIMIT_S:
        if server.poll() is not None:
            kit.fact("serving.started", False, "the server ended with %s before it answered" % server.poll())
            return None
        try:
            with open(port_file, encoding="ascii") as file:
                port = int(file.read())
            _Client(port, None).health()
            kit.fact("serving.started", True, "127.0.0.1, /health answered 200")
            return port
        except (OSError, ValueError, http.client.HTTPException, _NotOk) as error:
            why = measure.first_line(error)
        time.sleep(0.01)
    kit.fact("serving.started", False, "no 200 from /health within %g s: %s" % (START_LIMIT_S, why))
    return None


class _NotOk(Exception):
    """An answer other than 200, with its beginning."""


class _Tally:
    """Answers of all clients, counted."""

    def __init__(self, expected):
        self.expected, self.lock = expected, threading.Lock()
        self.answered = self.right = self.failed = 0
        self.why = ""

    def take(self, seed, values):
        scale = sum(v * v for v in self.expected[seed]) ** 0.5
        distance = sum((v - e) ** 2 for v, e in zip(values, self.expected[seed])) ** 0.5
        with self.lock:
            self.answered += 1
            self.right += int(len(values) == len(self.expected[seed]) and distance <= TOLERANCE * scale)

    def fail(self, error):
        with self.lock:
            self.failed += 1
            self.why = self.why or measure.first_line(error)


class _Client:
    """One kept-alive connection; each call gives its microseconds."""

    def __init__(self, port, tally):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_LIMIT_S)
        self.tally = tally

    def health(self):
        return self._get("/health")[0]

    def infer(self, path, seed):
        """Microseconds of one inference; None if it failed, which is counted."""
        try:
            took, body = self._get("%s?seed=%d" % (path, seed))
            self.tally.take(seed, json.loads(body)["values"])
            return took
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException, _NotOk) as error:
            self.connection.close()
            self.tally.fail(error)
            return None

    def _get(self, path):
        begin = time.perf_counter()
        self.connection.request("GET", path)
        reply = self.connection.getresponse()
        body = reply.read()
        took = (time.perf_counter() - begin) * 1e6
        if reply.status != 200:
            raise _NotOk("%s gave %d: %s" % (path, reply.status, body[:200].decode("utf-8", "replace")))
        return took, body


def _load(port, path, tally, load_s):
    """Microseconds of inferences and of health checks while CLIENTS clients call `path` for `load_s` seconds."""
    over, calls, checks = threading.Event(), [], []

    def call(client, first):
        seed = first
        while not over.is_set():
            calls.append(client.infer(path, seed % SEEDS))
            seed += 1

    def check(client):
        while not over.wait(HEALTH_EVERY_S):
            try:
                checks.append(client.health())
            except (OSError, http.client.HTTPException, _NotOk) as error:
                client.connection.close()
                tally.fail(error)

    threads = [threading.Thread(target=call, args=(_Client(port, tally), n)) for n in range(CLIENTS)]
    threads.append(threading.Thread(target=check, args=(_Client(port, tally),)))
    for thread in threads:
        thread.start()
    time.sleep(load_s)
    over.set()
    for thread in threads:
        thread.join()
    return [c for c in calls if c is not None], checks


def _tell_load(handler, calls, checks):
    for name, series in (("request", calls), ("health", checks)):
        for share, text in ((0.5, "p50"), (0.99, "p99")):
            if series:
                value = collectives.quantile(series, share)
                kit.figure("%s_%s_us" % (name, text), value, "us", n=len(series), handler=handler, clients=CLIENTS)
    kit.figure("requests", len(calls), "requests", handler=handler, clients=CLIENTS)


def _end(server):
    """The server is asked to end, and ended if it does not."""
    server.terminate()
    try:
        server.wait(5)
    except Exception:
        server.kill()
        server.wait()


# --- the server ----------------------------------------------------------------------------------------------------


def _serve(request):
    """FastAPI, uvicorn and torch in one process; the port is told once the socket listens."""
    import socket

    try:
        import fastapi
        import uvicorn

        torch = kit.import_torch()
        where = measure.device(torch, request.device)
        app = _app(fastapi, torch, where)
        kit.fact("serving.versions", "fastapi %s, uvicorn %s" % (fastapi.__version__, uvicorn.__version__))
        # The protocol is named: asyncio turns Nagle's delay of 40 ms off only on a socket that says it is TCP.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        path = request.params["port_file"]
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write("%d" % listening.getsockname()[1])
        os.replace(path + ".new", path)
        server.run(sockets=[listening])
    except Exception as error:
        kit.raised("serving.raised", error)
        raise


def _app(fastapi, torch, where):
    """Three routes: health in the loop, inference in a worker thread, inference in the loop."""
    app, model, home = fastapi.FastAPI(), _model(torch, where), threading.get_ident()
    seen = set()

    def answer(seed):
        place = "the event loop's thread" if threading.get_ident() == home else "a worker thread"
        if place not in seen:
            seen.add(place)
            kit.fact("serving.thread", place, "the model on %s was called there" % where)
        return {"values": _answer(torch, model, where, seed)}

    @app.get("/health")
    async def health():
        return {"ok": True}

    @app.get(HANDLERS["def"])
    def in_a_thread(seed: int):
        return answer(seed)

    @app.get(HANDLERS["async def"])
    async def in_the_loop(seed: int):
        return answer(seed)

    return app
