package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/core/workload"
	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/box"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// story tells a run as it happens: to people in lines, with a bar while beacons are asked if there is a terminal; with --json only
// the decisions, one object each.
type story struct {
	out, err io.Writer
	json     bool
	began    time.Time

	mu     sync.Mutex // guards what follows, and the order of lines
	asked  int        // beacons of the scene
	quiet  bool       // renewals tell no beacon lines
	bar    *mpb.Bar
	bars   *mpb.Progress
	frozen context.CancelFunc // called when the workload stands still after the switch-off
	off    bool
	denial string // the last one told
}

func newStory(out, err io.Writer, asJSON bool) *story {
	return &story{out: out, err: err, json: asJSON, began: time.Now()}
}

// line prints one line for people: a word for what it is about, and the rest.
func (s *story) line(about, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.printLine(about, format, args...)
}

func (s *story) printLine(about, format string, args ...any) {
	if !s.json {
		fmt.Fprintf(s.out, "%-10s %s\n", about, fmt.Sprintf(format, args...))
	}
}

// begin says what is about to run.
func (s *story) begin(u *up) {
	s.asked = len(u.scene.Beacons)
	kind := "synthetic delays"
	if u.world.IsMeasured() {
		kind = "measured delays"
	}
	s.line("world", "%s: %d places, %s, seed %d", u.world.Name(), len(u.world.Places()), kind, u.flags.seed)
	for _, a := range u.leftOut {
		s.line("", "%s (%s) is no beacon: the audit refutes its claimed place, it is likelier near %s", a.Name, a.Claims, a.Near)
	}
	s.line("core", "%s asks to be unlocked in %s", u.scene.Claim, u.region)
	s.line("assumed", "signals at most at %s speed, at most %d faulty beacon domains, attestation %s", u.speed, u.flags.f, u.attested())
	if u.flags.attest == "tpm" {
		s.line("machines", "making %d software TPMs with endorsement certificates, booting, enrolling and measuring them", len(u.scene.Beacons)+1)
	}
	if a := u.scene.Attack; a != adversary.None {
		s.line("attack", "%s: the core truly stands in %s; it owns %s, and %s", a, u.scene.Stands, a.Owns(), a.Tries())
	}
}

// started says that everything runs.
func (s *story) started(b *box.Box) {
	s.line("started", "%d beacons, the gate and core %s: real QUIC, signatures and store (%d ms)", s.asked, b.Core().Short(), time.Since(s.began).Milliseconds())
}

// probing shows the beacons' answers as they come.
func (s *story) probing(e prober.Event) {
	if e.Phase != prober.Succeeded && e.Phase != prober.Failed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		s.bar.Increment()
	}
	if s.bar != nil || s.quiet {
		return
	}
	if e.Phase == prober.Failed {
		s.printLine("beacon", "%-24s no statement: %s", e.Place, oneLine(e.Err.Error()))
		return
	}
	s.printLine("beacon", "%-24s %12s in %d rounds", e.Place, e.RTT, e.Rounds)
}

// agent tells what the core's agent does.
func (s *story) agent(e core.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case core.Challenged:
		if !s.quiet {
			s.printLine("challenge", "from the gate after %d ms: prove your place to %d beacons", e.Took.Milliseconds(), s.asked)
			s.startBar()
		}
	case core.Proved:
		s.stopBar()
		if !s.quiet {
			s.printLine("proof", "%d bytes, made in %.1f s", len(e.Proof), e.Took.Seconds())
		}
	case core.Running:
		s.printLine("workload", "runs: %d units left, %.2f s of CPU time used", e.Allowance, e.CPU.Seconds())
	case core.Frozen:
		s.printLine("workload", "stands still: %s (%.2f s of CPU time used)", e.Reason, e.CPU.Seconds())
		if s.off && s.frozen != nil {
			s.frozen()
		}
	case core.DeniedKind:
		if e.Reason != s.denial { // the agent goes on asking; people want to read it once
			s.denial = e.Reason
			s.printLine("denied", "%s", e.Reason)
		}
	case core.Failed:
		s.stopBar()
		s.printLine("failed", "%s; trying again", oneLine(e.Reason))
	case core.Exited:
		s.printLine("workload", "ended by itself")
	}
}

// startBar shows a bar on a terminal. The caller holds mu.
func (s *story) startBar() {
	f, ok := s.err.(*os.File)
	if !ok || s.json || !term.IsTerminal(int(f.Fd())) {
		return
	}
	s.bars = mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
	s.bar = s.bars.AddBar(int64(s.asked), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name("beacons    ")), mpb.AppendDecorators(decor.CountersNoUnit("%d of %d answered")))
}

// stopBar takes the bar away. The caller holds mu.
func (s *story) stopBar() {
	if s.bar == nil {
		return
	}
	s.bar.Abort(true)
	s.bars.Wait()
	s.bar, s.bars = nil, nil
}

// decided explains the first decision, and prints it with --json.
func (s *story) decided(u *up, b *box.Box, d decided) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopBar()
	s.quiet = true
	if s.json {
		return s.print(u, b, d)
	}
	if d.decision.Finding.Judged {
		for l := range strings.Lines(d.decision.Finding.Verdict.Text()) {
			fmt.Fprintf(s.out, "%-10s %s", "", l)
		}
	}
	for _, f := range b.Silent() {
		s.printLine("silent", "%s gave no statement: %s", f.Place, oneLine(f.Err.Error()))
	}
	if !d.decision.Granted {
		s.printLine("DENIED", "refused by the check %s: %s", d.decision.RefusedBy, d.decision.Reason)
		return nil
	}
	f := d.decision.Finding
	s.printLine("UNLOCKED", "%d units (ms of CPU time), for at most %.0f s; one transaction, ledger leaf %d; the key is wrapped to the core", f.Units, f.Life.Seconds(), d.decision.Record.Leaf)
	return nil
}

// rehearsed tells the first act of a replay.
func (s *story) rehearsed(u *up, d decided) {
	what := "was denied even there"
	if d.decision.Granted {
		what = fmt.Sprintf("was granted %d units", d.decision.Finding.Units)
	}
	s.line("rehearsal", "inside, in %s, the core %s; it keeps the proof, moves to %s and answers the next challenge with it", u.scene.Claim, what, u.scene.Stands)
}

// renewed tells a later decision in one line.
func (s *story) renewed(u *up, b *box.Box, d decided) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		return s.print(u, b, d)
	}
	if d.decision.Granted {
		s.printLine("re-proof", "%s: %d units more", d.decision.Finding.Verdict.Kind(), d.decision.Finding.Units)
	}
	return nil
}

// workload says what runs, and how it is held.
func (s *story) workload(command []string, p *workload.Process) {
	shown := strings.Join(command, " ")
	if len(command) == 2 && command[1] == spinName {
		shown = "a loop that uses one processor"
	}
	s.line("workload", "process %d, frozen until the lock opens (%s): %s", p.PID(), p.Hold(), shown)
}

// workloadOut is where the workload's own output goes: with --json nothing but objects may stand on standard output.
func (s *story) workloadOut() *os.File {
	if s.json {
		return os.Stderr
	}
	return os.Stdout
}

// switchedOff tells that no further lease will be given.
func (s *story) switchedOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = true
	s.printLine("off", "the defender switches the core off: no further lease; what it holds runs out")
}

// whenFrozen sets what happens when the workload stands still after the switch-off.
func (s *story) whenFrozen(stop context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = stop
}

// saved says where the evidence is.
func (s *story) saved(name string, size int, trust string) {
	s.line("saved", "%s (%d bytes): ursa verify %s --trust %s", name, size, name, trust)
}

// end tells how the workload ended.
func (s *story) end(p *workload.Process) {
	if e, ok := p.Exit(); ok {
		s.line("stopped", "the workload has ended after %.2f s of CPU time", e.CPU.Seconds())
	}
}

// decisionJSON is the object of `ursa up --json`.
type decisionJSON struct {
	Decision     string           `json:"decision"`
	Verdict      string           `json:"verdict"`
	Reason       string           `json:"reason"`
	Core         string           `json:"core"`
	Claim        string           `json:"claim"`
	Stands       string           `json:"stands"`
	Permit       string           `json:"permit"`
	Speed        string           `json:"speed"`
	F            int              `json:"f"`
	RegionKM2    *float64         `json:"region_km2"`
	Touches      []string         `json:"touches"`
	GrantedUnits uint64           `json:"granted_units"`
	Attack       adversary.Attack `json:"attack"`
	RefusedBy    string           `json:"refused_by"`
	ElapsedMS    int64            `json:"elapsed_ms"`
	Attestation  string           `json:"attestation"`
	Beacons      []beaconJSON     `json:"beacons"`
}

type beaconJSON struct {
	ID       string    `json:"id"`
	Place    string    `json:"place"`
	RTTMinNS earth.RTT `json:"rtt_min_ns"`
	RadiusM  float64   `json:"radius_m"`
	SlackM   float64   `json:"slack_m"`
	Decided  bool      `json:"decided"`
}

// print writes a decision as one object. The caller holds mu.
func (s *story) print(u *up, b *box.Box, d decided) error {
	f := d.decision.Finding
	out := decisionJSON{Decision: "denied", Verdict: f.Verdict.Kind().String(), Reason: d.decision.Reason, Core: b.Core().String(),
		Claim: u.scene.Claim.String(), Stands: u.scene.Stands.String(), Permit: u.region.String(), Speed: u.speed.String(), F: u.flags.f,
		Touches: []string{}, Attack: u.scene.Attack, RefusedBy: d.decision.RefusedBy, ElapsedMS: time.Since(s.began).Milliseconds(),
		Attestation: u.flags.attest, Beacons: []beaconJSON{}}
	if d.decision.Granted {
		out.Decision, out.GrantedUnits, out.Reason = "unlocked", uint64(f.Units), f.Verdict.Reason()
	}
	if f.Judged {
		if km2, ok := f.Verdict.RegionKM2(); ok {
			out.RegionKM2 = &km2
		}
		if touches, ok := f.Verdict.Touches(); ok {
			out.Touches = append(out.Touches, touches...)
		}
		explained, _ := f.Verdict.Explain()
		for _, e := range explained.Beacons {
			out.Beacons = append(out.Beacons, beaconJSON{e.ID, e.Place, e.RTT, float64(e.Radius), float64(e.Slack), e.Decided})
		}
	}
	return json.NewEncoder(s.out).Encode(out)
}
