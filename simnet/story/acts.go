package story

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ursa-virtual/ursa/locator/verdict"
)

// maxWait bounds how long a story may wait, in virtual time.
const maxWait = 20 * time.Hour

func (p *parser) act(a act) {
	a.line, a.text = p.line, p.text
	p.story.acts = append(p.story.acts, a)
}

func (p *parser) prove(args []string) error {
	if len(args) == 0 {
		return p.usage("prove")
	}
	for i, name := range args {
		if err := p.isCore(name); err != nil {
			return err
		}
		if slices.Contains(args[:i], name) {
			return p.errorf("%s is to prove twice at a time; write a prove of its own", name)
		}
	}
	p.act(act{prove: args})
	return nil
}

func (p *parser) isCore(name string) error {
	if p.coreOf(name) == nil {
		return p.errorf("no core is called %q; write core %s PLACE before", name, name)
	}
	return nil
}

func (p *parser) isBeacon(name string) error {
	if p.beaconOf(name) == nil {
		return p.errorf("no beacon is called %q; write beacon %s PLACE before", name, name)
	}
	return nil
}

func (p *parser) isHost(name string) error {
	if p.beaconOf(name) == nil && p.coreOf(name) == nil {
		return p.errorf("no beacon or core is called %q; introduce it before", name)
	}
	return nil
}

func (p *parser) move(args []string) error {
	if len(args) != 2 {
		return p.usage("move")
	}
	if err := firstOf(p.isHost(args[0]), p.known(args[1])); err != nil {
		return err
	}
	p.act(act{move: [2]string{args[0], args[1]}})
	return nil
}

func (p *parser) wait(args []string) error {
	if len(args) != 1 {
		return p.usage("wait")
	}
	if d, err := time.ParseDuration(args[0]); err != nil || d <= 0 || d > maxWait {
		return p.errorf("%q is no time to wait; write a duration up to %v, such as 30s", args[0], maxWait)
	}
	p.act(act{wait: args[0]})
	return nil
}

// check is an expectation: whether it holds, and what is there instead.
type check func(p *play) (holds bool, got string)

func (p *parser) expect(args []string) error {
	if len(args) < 2 {
		return p.usage("expect")
	}
	c, err := p.expectation(args)
	if err != nil {
		return err
	}
	p.act(act{holds: c})
	return nil
}

func (p *parser) expectation(args []string) (check, error) {
	who, what, rest := args[0], args[1], args[2:]
	switch what {
	case "granted", "failed", "false-accept":
		if len(rest) != 0 {
			return nil, p.usage("expect")
		}
	case "denied":
		if len(rest) != 0 && (len(rest) != 2 || rest[0] != "by") {
			return nil, p.usage("expect")
		}
	case "verdict":
		return p.expectVerdict(who, rest)
	default:
		return p.expectCount(args)
	}
	if err := p.proved(who); err != nil {
		return nil, err
	}
	by := ""
	if len(rest) == 2 {
		by = rest[1]
	}
	return func(pl *play) (bool, string) { return pl.outcome(who, what, by) }, nil
}

// proved checks that a core has proved before something is expected of it.
func (p *parser) proved(who string) error {
	if err := p.isCore(who); err != nil {
		return err
	}
	if !slices.ContainsFunc(p.story.acts, func(a act) bool { return slices.Contains(a.prove, who) }) {
		return p.errorf("%s has proved nothing yet; write prove %s before", who, who)
	}
	return nil
}

var verdicts = []string{verdict.Inside.String(), verdict.Outside.String(), verdict.Undetermined.String(), verdict.Inconsistent.String()}

func (p *parser) expectVerdict(who string, kinds []string) (check, error) {
	if err := p.proved(who); err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if !slices.Contains(verdicts, k) {
			return nil, p.errorf("%q is no verdict; use one or more of %s", k, strings.Join(verdicts, ", "))
		}
	}
	if len(kinds) == 0 {
		return nil, p.usage("expect")
	}
	return func(pl *play) (bool, string) {
		r := pl.results[who]
		if r.err != nil || !r.Decision.Finding.Judged {
			return false, r.String()
		}
		return slices.Contains(kinds, r.Decision.Finding.Verdict.Kind().String()), r.String()
	}, nil
}

// counts are what a story can count.
var counts = []string{"dropped", "flooded", "forged", "fronted", "held", "hijacked", "lies", "moved", "paused", "prepared", "proofs-replayed",
	"relayed", "reordered", "replayed", "silent", "skipped", "statements", "stolen"}

func (p *parser) expectCount(args []string) (check, error) {
	if len(args) != 3 || !slices.Contains([]string{">=", "<=", "="}, args[1]) {
		return nil, p.usage("expect")
	}
	name, op := args[0], args[1]
	if !slices.Contains(counts, name) {
		return nil, p.errorf("nobody counts %q; counts are %s", name, strings.Join(counts, ", "))
	}
	want, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil || want < 0 {
		return nil, p.errorf("%q is no count; write a whole number", args[2])
	}
	return func(pl *play) (bool, string) {
		got := pl.tally.Count(name)
		holds := got == want || op == ">=" && got > want || op == "<=" && got < want
		return holds, fmt.Sprintf("%d %s", got, name)
	}, nil
}
