"""The parts of the benchmark kit that can be wrong without anybody noticing."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import messages, policies, questions, servers, tokens, workloads
from benchmarks.errors import BenchError
from benchmarks.figures import Growth, Measured, Row, Run, Sample, Spread
from benchmarks.lab import Lab, _make_keys, make_keys, revocation_list
from benchmarks.load import read_h2load, read_wrk
from benchmarks.machine import usage
from benchmarks.report import remarks
from benchmarks.targets import targets
from gateway.audit.query import index
from gateway.audit.query.database import Database
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.core.chain import FetchKeys, Introspect, Introspected
from gateway.core.exchange import Exchange
from gateway.core.stores import EmbeddedSettings
from gateway.core.syntax import read_head
from gateway.policy import load
from gateway.signing.httpsig.scheme import HttpMessageScheme
from tests import world
from tests.mint import NOW
from tests.unit.audit.published import published

WRK = """Running 3s test @ https://127.0.0.1:9446
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    64.43ms   12.10ms 493.17ms   91.10%
"""


def wrk(statuses: dict[str, int], read_errors: int = 0) -> str:
    figures = {
        "requests": 900,
        "microseconds": 3_000_000,
        "p50_microseconds": 64_430,
        "p99_microseconds": 493_170,
        "statuses": statuses,
        "errors": {"connect": 0, "read": read_errors, "write": 0, "timeout": 0},
    }
    return f"{WRK}figures {json.dumps(figures)}\n"


def sample(rate: float, p99: float = 10.0) -> Sample:
    return Sample(rate, 5.0, p99, 99.0, 80.0, 50.0, 0.0)


def measured(name: str, **rates: list[float]) -> Measured:
    workload = workloads.Workload(name, name, servers=tuple(each.replace("_", "-") for each in rates))
    rows = [Row(each.replace("_", "-"), tuple(map(sample, listed))) for each, listed in rates.items()]
    return Measured(workload, tuple(rows))


def run(*found: Measured, growth: Growth | None = None) -> Run:
    return Run("2026-11-22T13:00:00Z", "c0ffee", 3, 8, {}, {}, found, growth=growth)


ROOT = Path(__file__).parents[2]


def met(found: Run) -> dict[str, bool]:
    return {target.title: target.met for target in targets(found) if target.met is not None}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_keys(tmp_path_factory.mktemp("lab"))


class TestWrk:
    def test_figures(self) -> None:
        found = read_wrk(wrk({"200": 900}), 200)
        assert (found.requests, found.seconds, found.p50_ms, found.p99_ms) == (900, 3.0, 64.43, 493.17)
        assert found.wrong == ()

    def test_every_other_answer_is_wrong(self) -> None:
        assert read_wrk(wrk({"200": 898, "204": 1, "503": 1}), 200).wrong == (
            "1 answers of 204",
            "1 answers of 503",
        )

    def test_a_denial_can_be_what_is_expected(self) -> None:
        assert read_wrk(wrk({"401": 900}), 401).wrong == ()

    def test_no_answer_at_all_is_wrong(self) -> None:
        assert read_wrk(wrk({}), 200).wrong == ("no answer of 200",)

    def test_connections_that_fail_are_wrong(self) -> None:
        assert read_wrk(wrk({"200": 900}, read_errors=7), 200).wrong == ("7 read errors",)

    def test_output_without_figures(self) -> None:
        with pytest.raises(BenchError, match="unable to connect"):
            read_wrk("unable to connect to 127.0.0.1:9446 Connection refused", 200)


class TestH2load:
    def test_figures(self) -> None:
        log = "".join(f"1795352400000000\t200\t{taken}\n" for taken in range(100, 0, -1))
        found = read_h2load(log, 2.0, 200)
        assert (found.requests, found.seconds, found.p50_ms, found.p99_ms) == (100, 2.0, 0.05, 0.099)
        assert found.wrong == ()

    def test_failed_streams_are_wrong(self) -> None:
        assert read_h2load("1\t200\t5\n1\t-1\t5\n", 2.0, 200).wrong == ("1 answers of -1",)

    def test_an_empty_log(self) -> None:
        with pytest.raises(BenchError, match="no request"):
            read_h2load("", 2.0, 200)


class TestFigures:
    def test_the_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds(self) -> None:
        ratio = measured("reference", gate=[90.0, 100.0, 120.0], envoy=[90.0, 50.0, 60.0]).ratio("envoy")
        assert ratio is not None
        assert ratio.requests_per_second == Spread(100.0 / 60.0, 1.0, 2.0)

    def test_there_is_no_ratio_to_a_row_that_failed(self) -> None:
        rows = (Row("gate", (sample(1.0),)), Row("envoy", failed=("1 answers of 503",)))
        found = Measured(workloads.Workload("w", "w", servers=("gate", "envoy")), rows)
        assert found.ratios() == []
        assert run(found).failures == ["w: envoy: 1 answers of 503"]


class TestTargets:
    def test_bounds_are_held_against_ratios(self) -> None:
        found = met(run(measured("reference", gate=[130.0], nginx_lua=[131.0], envoy=[100.0], mitmdump=[6.5])))
        assert found == {
            "reference: requests/s, gate to nginx-lua": False,
            "reference: requests/s, gate to envoy": True,
            "reference: requests/s, gate to mitmdump": True,
            "reference: p99, gate to nginx-lua": True,
        }

    def test_refusals_are_compared_to_what_is_served(self) -> None:
        found = met(run(measured("reference", gate=[100.0]), measured("bad-signature", gate=[99.0])))
        assert found == {"bad signatures to good ones: requests/s": False}

    def test_a_log_is_multiplied_to_be_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        log = published(tmp_path / "audit", 30).directory
        with pytest.raises(BenchError, match="too short"):
            questions.over(log, tmp_path / "index", 1, 1_000)
        monkeypatch.setattr(index, "TAIL_BYTES", 0)
        assert len(questions.over(log, tmp_path / "index", 2, 1_000)) == 2
        with Database(index.Source((tmp_path / "index/many.parquet",), ())) as database:
            ((count, hours, requests),) = database.ask(
                "SELECT count(*), count(DISTINCT date_trunc('hour', time)), count(DISTINCT request_id) FROM records"
            ).rows
        assert (count, hours, requests) == (1_020, 34, 510)

    @pytest.mark.parametrize(("gate", "verified", "said"), [(910.0, 120_000.0, True), (890.0, 90_000.0, False)])
    def test_what_the_log_may_cost(self, gate: float, verified: float, said: bool) -> None:
        rows = measured("audit", gate=[gate], gate_unaudited=[1_000.0])
        asked = Spread.of([1.0 if said else 9.0])
        found = replace(run(rows), verified_per_second=Spread.of([verified]), asked_seconds=asked)
        assert set(met(found).values()) == {said}
        (verify, _, share) = list(remarks(found))
        assert verify.startswith(f"gateway audit verify: {verified:,.0f}")
        assert "the log takes" in share

    @pytest.mark.parametrize(("requests", "said"), [(1_000_000, [True]), (400_000, [])])
    def test_growth_counts_after_a_million_requests(self, requests: int, said: list[bool]) -> None:
        found = met(run(growth=Growth((10_100, requests), (90.0, 109.0))))
        assert list(found.values()) == said


class TestPolicies:
    def test_the_reference_serves_with_the_files_of_a_lab(self, lab: Lab) -> None:
        policy = load(policies.REFERENCE, {"LAB": str(lab.folder)}).policy
        assert [control.name for control in policy.routes[0].chain] == [
            "mutual_tls", "ip_allowlist", "token", "rate_limit", "signature", "replay",
        ]  # fmt: skip
        assert (policy.listeners["main"].address, policy.listeners["main"].port) == ("127.0.0.1", 9446)

    def test_without_replay(self, lab: Lab, tmp_path: Path) -> None:
        policy = load(policies.without_replay(tmp_path), lab.environ).policy
        assert [off.control for off in policy.routes[0].switched_off] == ["replay"]

    @pytest.mark.parametrize("algorithm", workloads.MESSAGE_ALGORITHMS)
    def test_a_request_signed_by_rfc_9421_is_what_the_policy_asks_for(
        self, lab: Lab, tmp_path: Path, algorithm: str
    ) -> None:
        public = messages.KEYS.public(algorithm)
        policy = load(policies.with_messages(tmp_path, algorithm, public), lab.environ).policy
        (control,) = [each for each in policy.routes[0].chain if isinstance(each, SignatureControl)]
        folder = messages.write(lab, algorithm, "127.0.0.1:9446", NOW)
        fields = [line.encode().split(b": ", 1) for line in (folder / "fields").read_text().splitlines()]
        body = (folder / "body").read_bytes()
        head = read_head(
            method=b"POST", target=b"/wallet/debit", version="HTTP/1.1",
            fields=[(b"host", b"127.0.0.1:9446"), (b"content-length", b"160"), *((one, two) for one, two in fields)],
        )  # fmt: skip
        keys = policy.partners["partner-1"].signing_keys
        assert isinstance(control.scheme, HttpMessageScheme)
        assert control.scheme.verify(head, body, keys, control.window, NOW).key_id == "partner-1"

    def test_revoking(self, tmp_path: Path) -> None:
        (tmp_path / "ca.crl").write_bytes(revocation_list(_make_keys(tmp_path), 3))
        loaded = load(policies.revoking(tmp_path, 9449), Lab(tmp_path).environ)
        assert loaded.policy.listeners["main"].tls.revocation is not None
        assert [len(each) for each in loaded.revocation_lists["main"]] == [3]

    def test_durable(self, lab: Lab, tmp_path: Path) -> None:
        policy = load(policies.durable(tmp_path, 9448), lab.environ).policy
        assert policy.audit.durable
        assert [listener.port for listener in policy.listeners.values()] == [9448]

    @pytest.mark.parametrize("kind", workloads.TOKENS)
    def test_a_request_with_a_token_is_what_the_policy_asks_for(
        self, lab: Lab, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tokens, "COLD_TOKENS", 3)
        monkeypatch.setattr(tokens, "PROOFS_PER_SECOND", 3)
        loaded = load(policies.with_tokens(tmp_path, kind), lab.environ)
        (control,) = [each for each in loaded.policy.routes[0].chain if isinstance(each, TokenControl)]
        folder = tokens.write(lab, kind, "127.0.0.1:9446", NOW, 1)
        common = (folder / "fields").read_text().splitlines()
        each = [line.split("\t") for line in (folder / "each").read_text().splitlines()]
        assert len(each) == (3 if kind.endswith("-cold") or kind == "dpop" else 1)
        answers = world.Answers(
            {
                FetchKeys: lambda _: loaded.key_sets["idp"],
                Introspect: lambda _: Introspected(True, json.loads(servers.INTROSPECTED), NOW),
            }
        )
        for own in each:
            fields = [tuple(part.encode() for part in line.split(": ", 1)) for line in [*common, *own]]
            head = read_head(
                method=b"POST", target=b"/wallet/debit", version="HTTP/1.1",
                fields=[(b"host", b"127.0.0.1:9446"), (b"content-length", b"160"), *map(tuple, fields)],
            )  # fmt: skip
            exchange = Exchange(loaded.policy, world.peer(), head, NOW)
            exchange.route = loaded.policy.routes[0]
            world.check(control, exchange, answers)
            assert exchange.partner is not None

    def test_on_another_port(self, lab: Lab, tmp_path: Path) -> None:
        policy = load(policies.on_port(tmp_path, "other", 9449), lab.environ).policy
        assert [listener.port for listener in policy.listeners.values()] == [9449]

    def test_with_store(self, lab: Lab, tmp_path: Path) -> None:
        policy = load(policies.with_store(tmp_path, 9451), lab.environ, shared_state=False).policy
        assert policy.state.store == EmbeddedSettings()
        assert policy.listeners["main"].port == 9451

    def test_two_workers_serve_it(self, lab: Lab) -> None:
        alone = servers.StoreGate().command(lab, workloads.REFERENCE)
        several = servers.WorkersGate().command(lab, workloads.REFERENCE)
        assert several.arguments[-2:] == ["--workers", "2"]
        assert len(several.arguments) == len(alone.arguments) + 2

    def test_nothing_is_recorded_for_the_row_without_a_log(self, lab: Lab, tmp_path: Path) -> None:
        audited = servers.Gate().command(lab, workloads.AUDIT)
        command = servers.UnauditedGate().command(lab, workloads.AUDIT)
        assert command.arguments[1:4] == ["-m", "benchmarks.unaudited", "run"]
        assert len(command.arguments) == len(audited.arguments) + 2
        code = (
            "import sys; from pathlib import Path; from benchmarks.unaudited import silence; silence();"
            "from gateway.audit.log import AuditLog; log = AuditLog(Path(sys.argv[1]));"
            "assert log.append_all([0, 0]) == [None, None]; log.append(0); log.close()"
        )
        subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=ROOT)
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]

    def test_with_partners(self, lab: Lab, tmp_path: Path) -> None:
        policy = load(policies.with_partners(tmp_path, 9447, count=30), lab.environ).policy
        assert len(policy.partners) == 30
        assert {len(partner.networks.networks) for partner in policy.partners.values()} == {10}
        assert policy.routes[0].partners == frozenset(policy.partners)


def test_a_session_is_known_by_what_it_takes() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:
        assert usage(process.pid).resident_bytes > 0
        process.terminate()


def test_what_a_session_has_started_in_sessions_of_its_own_belongs_to_it() -> None:
    started = "import subprocess; c = subprocess.Popen(['cat'], start_new_session=True); print(flush=True); c.wait()"
    command = [sys.executable, "-c", started]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        below = usage(int(child)).resident_bytes
        assert 0 < below < usage(process.pid).resident_bytes
        process.stdin.close()
