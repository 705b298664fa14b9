package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
)

// Check is one comparison that a goal asks for: Measured must not exceed Limit.
type Check struct {
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit"` // "x" for a ratio
	Met      bool    `json:"met"`
}

// Goal is one of the performance goals, with what this run says about it. Without checks it was not measured here, and Why says why not.
type Goal struct {
	ID     string  `json:"id"`
	Goal   string  `json:"goal"`
	Checks []Check `json:"checks,omitempty"`
	Met    *bool   `json:"met,omitempty"`
	Why    string  `json:"why,omitempty"` // where the time goes, or what the comparison leaves out
}

// check adds a comparison.
func (g *Goal) check(what string, measured, limit float64, unit string) {
	g.Checks = append(g.Checks, Check{What: what, Measured: measured, Limit: limit, Unit: unit, Met: measured <= limit})
	met := true
	for _, c := range g.Checks {
		met = met && c.Met
	}
	g.Met = &met
}

// The published peer, a Roughtime server written in Go that signs with Ed25519 alone in batches of 256, needed 2.47 to 3.11 times as much
// processor time for an answer as an echo with 64 datagrams a system call on the machine where both were measured. It is not
// part of this run, so the echo of this run stands in for it, times the smaller figure.
const peerByEcho = 2.47

// Goals measures on one processor, on two, and through a relay, and says which goals are met. It takes about twice Config.Duration.
func Goals(ctx context.Context, cfg Config) (*Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	tell := cfg.Progress
	stage := func(from, to float64) func(string, float64) {
		return func(what string, share float64) { tell(what, from+(to-from)*share) }
	}
	one := cfg
	one.CPUs, one.Only, one.Progress = One, 0, stage(0, 0.5)
	r, err := Run(ctx, one)
	if err != nil {
		return nil, err
	}
	two := cfg
	two.CPUs, two.Only, two.Duration, two.Progress = Two, RoundTrips, max(minDuration, cfg.Duration/3), stage(0.5, 0.7)
	if r.Two, err = Run(ctx, two); errors.Is(err, ErrTooFew) {
		r.Notes = append(r.Notes, "one processor only: no spinning core was measured")
	} else if err != nil {
		return nil, err
	}
	if cfg.Relay != nil {
		far := cfg
		far.CPUs, far.Progress = anywhere, stage(0.7, 1)
		s, err := Run(ctx, far)
		if err != nil {
			return nil, err
		}
		r.Star, r.FailedBlocks = s.Star, r.FailedBlocks+s.FailedBlocks
	}
	r.Goals = r.judge()
	return r, nil
}

// judge compares the report with the goals.
func (r *Report) judge() []Goal {
	side := exchange.PathSteered.String()
	if _, ok := r.roundTrip(Round, side, "kernel"); !ok {
		side = exchange.PathWrapped.String()
	}
	goals := []Goal{r.g1(side), r.g2(side), r.g3(), r.g4(side), r.g6(), r.g7(), r.g9(), r.g10(side), r.g14()}
	for i := range goals {
		if goals[i].Met == nil {
			goals[i].Why = "not measured in this run. " + goals[i].Why
		}
	}
	return goals
}

func (r *Report) g1(side string) Goal {
	g := Goal{ID: "G1", Goal: "a round on a socket of its own, one processor, kernel stamps: p50 at most that of a net.UDPConn echo with the same stamps, minimum at most 0.5 µs more",
		Why: "the core looks at its own clocks before it answers, verifies a MAC and makes one"}
	round, ok := r.roundTrip(Round, side, "kernel")
	plain, ok2 := r.roundTrip(GoEcho, "", "kernel")
	if ok && ok2 && round.OverGoP50 != nil {
		g.check("p50 of a turn by the echo's, median over the turns", *round.OverGoP50, 1, "x")
		g.check("minimum beyond the echo's", float64(round.MinNS-plain.MinNS)/micro, 0.5, "µs")
	}
	return g
}

func (r *Report) g2(side string) Goal {
	g := Goal{ID: "G2", Goal: "the same with a core that spins, two processors, quiet: minimum at most 0.5 µs beyond an echo by plain system calls that spins, p50 at most 1 µs",
		Why: "meaningful on a quiet machine only: a processor that is wanted by others cannot spin"}
	if r.Two == nil {
		return g
	}
	round, ok := r.Two.roundTrip(Round, side, "kernel")
	floor, ok2 := r.Two.roundTrip(Floor, "", "kernel")
	if ok && ok2 && round.OverFloorP50NS != nil {
		g.check("minimum beyond the floor's", float64(round.MinNS-floor.MinNS)/micro, 0.5, "µs")
		g.check("p50 beyond the floor's, median over the turns", *round.OverFloorP50NS/micro, 1, "µs")
	}
	return g
}

func (r *Report) g3() Goal {
	g := Goal{ID: "G3", Goal: "DATAGRAM fallback, one processor: minimum at most 7 µs beyond a net.UDPConn echo, p50 at most 2.2 times",
		Why: "both with user stamps: a frame cannot be tied to a kernel stamp of the packet that carried it, so this path has none; QUIC's hand-overs between goroutines are in both directions"}
	round, ok := r.roundTrip(Round, exchange.PathDatagram.String(), "user")
	plain, ok2 := r.roundTrip(GoEcho, "", "user")
	if ok && ok2 && round.OverGoP50 != nil {
		g.check("minimum beyond the echo's", float64(round.MinNS-plain.MinNS)/micro, 7, "µs")
		g.check("p50 of a turn by the echo's, median over the turns", *round.OverGoP50, 2.2, "x")
	}
	return g
}

func (r *Report) g4(side string) Goal {
	g := Goal{ID: "G4", Goal: "the MAC in the timed path adds at most 0.3 µs to the p50 of an echo on the same port, with a core that spins; no signature is in it",
		Why: "the difference holds the whole machine of the core: verifying the challenge's MAC, the answer's own MAC, state and lock. No signature is in the timed path"}
	at := r.Two
	if at == nil {
		return g
	}
	round, ok := at.roundTrip(Round, side, "kernel")
	bare, ok2 := at.roundTrip(PortEcho, side, "kernel")
	if ok && ok2 {
		if d, ok := median(pairwise(round.p50, bare.p50, func(a, b float64) float64 { return a - b })); ok {
			g.check("p50 of a turn beyond the port's echo, median over the turns", d/micro, 0.3, "µs")
		}
	}
	return g
}

// g6 and g7 are about processor time of signed answers.
func (r *Report) g6() Goal {
	g := Goal{ID: "G6", Goal: "answer under Merkle root and Ed25519: at most 1.5 times the processor time of an echo with 64 datagrams a system call, at most 0.67 times the Go peer's",
		Why: fmt.Sprintf("the peer is not here: the echo of this run times %.2f stands for it (its own ratio was 2.47 to 3.11). This system signs with nothing but the hybrid; the figure for Ed25519 alone is computed by taking the difference of the two signatures out", peerByEcho)}
	echo, ok := r.cost(EchoAnswer)
	signed, ok2 := r.cost(Signed64)
	sign, ok3 := r.cost(Sign)
	classical, ok4 := r.cost(SignClassical)
	if ok && ok2 && ok3 && ok4 && signed.Batch != nil && echo.Micros > 0 {
		alone := signed.Micros - (sign.Micros-classical.Micros) / *signed.Batch
		g.check("computed for Ed25519 alone, batches of 64, by the echo", alone/echo.Micros, 1.5, "x")
		g.check("the same by the peer's stand-in", alone/(peerByEcho*echo.Micros), 0.67, "x")
	}
	return g
}

func (r *Report) g7() Goal {
	g := Goal{ID: "G7", Goal: "answer under Merkle root and the hybrid signature, batches of 256: at most 0.85 times the processor time of the Go peer's, which signs with Ed25519 alone",
		Why: fmt.Sprintf("the peer is not here: the echo of this run times %.2f stands for it", peerByEcho)}
	echo, ok := r.cost(EchoAnswer)
	signed, ok2 := r.cost(Signed256)
	if ok && ok2 && echo.Micros > 0 {
		g.check("hybrid by the peer's stand-in", signed.Micros/(peerByEcho*echo.Micros), 0.85, "x")
	}
	return g
}

func (r *Report) g9() Goal {
	g := Goal{ID: "G9", Goal: "session of 16 rounds with its handshake: at most 1.5 times the processor time of a handshake alone, over DATAGRAM 2.5 times"}
	shake, ok := r.cost(Handshake)
	s16, ok2 := r.cost(Session16)
	s64, ok3 := r.cost(Session64)
	d16, ok4 := r.cost(DatagramSession16)
	d64, ok5 := r.cost(DatagramSession64)
	sign, ok6 := r.cost(Sign)
	verify, ok7 := r.cost(Verify)
	wrap, ok8 := r.cost(Encapsulate)
	parse, ok9 := r.cost(ParseKey)
	if !(ok && ok2 && ok3 && ok4 && ok5 && ok6 && ok7 && ok8 && ok9) || shake.Micros <= 0 {
		return g
	}
	round, frame := (s64.Micros-s16.Micros)/48, (d64.Micros-d16.Micros)/48
	g.check("handshake and 16 rounds, without signatures, by the handshake", (shake.Micros+16*round)/shake.Micros, 1.5, "x")
	g.check("the same over DATAGRAM", (shake.Micros+16*frame)/shake.Micros, 2.5, "x")
	g.check("whole session with the daemon, by the handshake", s16.Micros/shake.Micros, 1.5, "x")
	g.check("the same over DATAGRAM", d16.Micros/shake.Micros, 2.5, "x")
	crypto := 2*sign.Micros + 4*verify.Micros + wrap.Micros + parse.Micros
	g.Why = fmt.Sprintf("a whole session holds what the goal's prototype did not: up to two hybrid signatures (%.0f µs each, shared by sessions of the same millisecond), four verifications (%.0f), an encapsulation (%.0f) and the core's key (%.0f), at most %.0f of %.0f µs; the handshake is %.0f, 16 rounds of %.1f µs are %.0f, the slow phase's messages and the rest %.0f",
		sign.Micros, verify.Micros, wrap.Micros, parse.Micros, crypto, s16.Micros, shake.Micros, round, 16*round, s16.Micros-shake.Micros-16*round-crypto)
	return g
}

// ray finds an arm of the star.
func (r *Report) ray(path string, halfEmpty bool) (Ray, bool) {
	for _, a := range r.Star {
		if a.Path == path && a.HalfEmpty == halfEmpty && a.Sessions > 0 {
			return a, true
		}
	}
	return Ray{}, false
}

func (r *Report) g10(side string) Goal {
	g := Goal{ID: "G10", Goal: "star through a relay, minimum of 16 rounds: median excess of a round at most 1.5 times that of a UDP echo, DATAGRAM 1.8; with half-empty queues 1.2 and 1.5; no round below the configured delay, ever",
		Why: "the relay's own wake-up is most of the excess of all three"}
	below := 0
	for _, law := range []struct {
		halfEmpty           bool
		sideLimit, dgmLimit float64
		name                string
	}{{false, 1.5, 1.8, "no queues"}, {true, 1.2, 1.5, "half-empty queues"}} {
		udp, ok := r.ray("udp", law.halfEmpty)
		own, ok2 := r.ray(side, law.halfEmpty)
		dgm, ok3 := r.ray(exchange.PathDatagram.String(), law.halfEmpty)
		if !(ok && ok2 && ok3) {
			return g
		}
		if udp.ExcessP50 > 0 {
			g.check(side+" by UDP, "+law.name, own.ExcessP50/udp.ExcessP50, law.sideLimit, "x")
			g.check("datagram by UDP, "+law.name, dgm.ExcessP50/udp.ExcessP50, law.dgmLimit, "x")
		}
		below += own.BelowCount + dgm.BelowCount
	}
	g.check("rounds below the configured delay", float64(below), 0, "rounds")
	return g
}

func (r *Report) g14() Goal {
	g := Goal{ID: "G14", Goal: "stamps of the last write, and stamps after the send, cannot be built; a path of 40 ms with delayed acknowledgements bounds at least 40 ms",
		Why: "a departure is made by the send that it wraps and by nothing else; TestDelayedAcknowledgement of simnet/relay shows what a stamp of the last write would read"}
	if dgm, ok := r.ray(exchange.PathDatagram.String(), false); ok && dgm.Least40NS > 0 {
		g.check("40 ms less the smallest DATAGRAM round on that ray", float64(40*time.Millisecond-time.Duration(dgm.Least40NS))/micro, 0, "µs")
	}
	return g
}

func (r *Report) textGoals(b *strings.Builder) {
	if len(r.Goals) == 0 {
		return
	}
	b.WriteString("\ngoals, as ratios and differences within this run\n")
	for _, g := range r.Goals {
		verdict := "not measured"
		if g.Met != nil {
			verdict = map[bool]string{true: "met", false: "NOT MET"}[*g.Met]
		}
		fmt.Fprintf(b, "\n%s %s: %s\n", g.ID, verdict, g.Goal)
		t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
		for _, c := range g.Checks {
			word := "met"
			if !c.Met {
				word = fmt.Sprintf("missed by %.3g %s", c.Measured-c.Limit, c.Unit)
			}
			fmt.Fprintf(t, "    %s\t%.3g %s\tat most %.3g\t%s\n", c.What, c.Measured, c.Unit, c.Limit, word)
		}
		_ = t.Flush()
		if g.Why != "" && (g.Met == nil || !*g.Met || g.ID == "G6" || g.ID == "G7" || g.ID == "G14") {
			fmt.Fprintf(b, "    %s\n", g.Why)
		}
	}
}
