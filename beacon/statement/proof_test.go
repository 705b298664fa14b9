package statement_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// signProof signs whatever payload as the core.
func (s *scene) signProof(payload []byte) []byte {
	s.t.Helper()
	e, err := identity.Seal(s.core, identity.TypeProof, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	data, err := e.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// full fills in what Seal would, so that a test can spoil it.
func (s *scene) full() statement.Proof {
	p := s.proof()
	p.Version, p.Suite, p.Core = statement.Version, identity.Suite, s.core.Public()
	if bytes.Compare(p.Results[0], p.Results[1]) > 0 {
		p.Results = [][]byte{p.Results[1], p.Results[0]}
	}
	return p
}

// What a core may try with a proof that it signs itself.
func TestProofRefused(t *testing.T) {
	s := newScene(t, nil)
	otherCore := sceneKeys()[identity.RoleCore][1]
	otherGate := sceneKeys()[identity.RoleGate][1]
	challenge := func(signer *identity.Private, change func(*statement.Challenge)) identity.Envelope {
		c := s.challenge
		change(&c)
		e, err := c.Seal(signer)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	changed := func(change func(*statement.Statement)) identity.Envelope {
		st := s.statement(1)
		change(&st)
		b, err := st.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return s.sign(s.beacons[1], b)
	}
	type p = statement.Proof
	cases := []struct {
		name  string
		want  error
		forge func(*p)
	}{
		{"honest", nil, func(*p) {}},
		{"one statement dropped", nil, func(p *p) { p.Statements = p.Statements[:2] }},
		{"version", statement.ErrVersion, func(p *p) { p.Version = 2 }},
		{"suite", statement.ErrSuite, func(p *p) { p.Suite = 0 }},
		{"a beacon's key", statement.ErrCoreRole, func(p *p) { p.Core = s.beacons[0].Public() }},
		{"another core's key", statement.ErrWrongCore, func(p *p) { p.Core = otherCore.Public() }},
		{"no previous proof", statement.ErrNoHash, func(p *p) { p.PreviousProof = [32]byte{} }},
		{"another previous proof", statement.ErrPreviousProof, func(p *p) { p.PreviousProof[0] ^= 1 }},
		{"made never", statement.ErrMadeTime, func(p *p) { p.MadeUnixNS = 0 }},
		{"no statement", statement.ErrNoStatement, func(p *p) { p.Statements = nil }},
		{"65 statements", statement.ErrTooManyStatement, func(p *p) { p.Statements = make([]identity.Envelope, 65) }},
		{"unsorted", statement.ErrStatementOrder, func(p *p) { p.Statements[0], p.Statements[1] = p.Statements[1], p.Statements[0] }},
		{"a beacon twice", statement.ErrDuplicateBeacon, func(p *p) { p.Statements[1] = p.Statements[0] }},
		{"a session twice", statement.ErrDuplicateSession, func(p *p) {
			p.Statements[1] = changed(func(st *statement.Statement) { st.SessionID = s.statement(0).SessionID })
		}},
		{"another timed key", statement.ErrTimedKeys, func(p *p) {
			p.Statements[1] = changed(func(st *statement.Statement) { st.TimedKey[0] ^= 1 })
		}},
		{"another timed key than the statements'", statement.ErrTimedKeys, func(p *p) { p.TimedKey = timedKey(t, 8).Public() }},
		{"two other cores' statements", statement.ErrWrongCore, func(p *p) {
			p.Statements = []identity.Envelope{changed(func(st *statement.Statement) { st.Core = otherCore.ID() })}
		}},
		{"result missing", statement.ErrResultMissing, func(p *p) { p.Results = p.Results[:1] }},
		{"no results", statement.ErrResultMissing, func(p *p) { p.Results = nil }},
		{"result too many", statement.ErrResultUnused, func(p *p) { p.Results = append(p.Results, []byte("\xffmore")) }},
		{"results unsorted", statement.ErrResultOrder, func(p *p) { p.Results = [][]byte{p.Results[1], p.Results[0]} }},
		{"result twice", statement.ErrResultOrder, func(p *p) { p.Results[1] = p.Results[0] }},
		{"empty result", statement.ErrResultOrder, func(p *p) { p.Results[0] = nil }},
		{"challenge of an unknown gate", statement.ErrUnknownGate, func(p *p) { p.Challenge.Signer[0] ^= 1 }},
		{"challenge of another gate", statement.ErrGateExpected, func(p *p) { p.Challenge = challenge(otherGate, func(*statement.Challenge) {}) }},
		{"challenge for another core", statement.ErrWrongCore, func(p *p) {
			p.Challenge = challenge(s.gate, func(c *statement.Challenge) { c.Core = otherCore.ID() })
		}},
		{"another nonce", statement.ErrWrongNonce, func(p *p) {
			p.Challenge = challenge(s.gate, func(c *statement.Challenge) { c.NonceG[3] ^= 1 })
		}},
		{"another policy", statement.ErrWrongPolicy, func(p *p) {
			p.Challenge = challenge(s.gate, func(c *statement.Challenge) { c.PolicyHash[3] ^= 1 })
		}},
		{"statements of another challenge", statement.ErrChallengeHash, func(p *p) {
			p.Challenge = challenge(s.gate, func(c *statement.Challenge) { c.RoundsMax-- })
		}},
		{"expired challenge", statement.ErrChallengeExpired, func(p *p) {
			p.Challenge = challenge(s.gate, func(c *statement.Challenge) { c.IssuedUnixNS = now - 31*second })
		}},
		{"challenge altered", statement.ErrChallengeSigned, func(p *p) {
			p.Challenge.Payload = append([]byte{}, p.Challenge.Payload...)
			p.Challenge.Payload[40] ^= 1
		}},
	}
	for _, c := range cases {
		proof := s.full()
		c.forge(&proof)
		payload, err := canon.Marshal(proof)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := statement.VerifyProof(s.signProof(payload), s.expect()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// A verifier who leaves out an expectation gets no answer.
func TestProofNeedsExpectations(t *testing.T) {
	s := newScene(t, nil)
	data := s.seal(s.proof())
	for name, empty := range map[string]func(*statement.Expect){
		"directory": func(x *statement.Expect) { x.Directory = nil }, "gate": func(x *statement.Expect) { x.Gate = identity.ID{} },
		"core": func(x *statement.Expect) { x.Core = identity.ID{} }, "nonce": func(x *statement.Expect) { x.NonceG = [32]byte{} },
		"policy": func(x *statement.Expect) { x.PolicyHash = [32]byte{} }, "chain": func(x *statement.Expect) { x.PreviousProof = [32]byte{} },
		"now": func(x *statement.Expect) { x.NowUnixNS = 0 },
	} {
		x := s.expect()
		empty(&x)
		if _, err := statement.VerifyProof(data, x); !errors.Is(err, statement.ErrUnexpected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	x := s.expect()
	x.Directory = &s.draft
	if _, err := statement.VerifyProof(data, x); !errors.Is(err, directory.ErrUnverified) {
		t.Error(err)
	}
}

// stride is the distance between the bytes that are flipped: 1 with URSA_LONG set, otherwise coprime to the lengths of most fields.
func stride(short int) int {
	if os.Getenv("URSA_LONG") != "" {
		return 1
	}
	return short
}

// Each byte of an encoded proof matters: whichever bit flips, the proof is refused by a named check.
func TestEveryByteOfAProofCounts(t *testing.T) {
	s := newScene(t, nil)
	data := s.seal(s.proof())
	count := map[string]int{}
	for i := 0; i < len(data); i += stride(23) {
		bad := bytes.Clone(data)
		bad[i] ^= 1 << (i % 8)
		_, err := statement.VerifyProof(bad, s.expect())
		if name := named(err); name == "" {
			t.Fatalf("byte %d of %d: %v", i, len(data), err)
		} else {
			count[name]++
		}
	}
	t.Logf("of %d bytes refused by: %v", len(data), count)
}

// The core itself may sign a changed proof; then what it cannot sign must refuse. Left to its choice are its own key's encoding (no:
// the id binds it), the order (no: checked) and only the time at which it says it made the proof.
func TestEveryByteCountsAgainstTheCoreItself(t *testing.T) {
	s := newScene(t, nil)
	payload, err := canon.Marshal(s.full())
	if err != nil {
		t.Fatal(err)
	}
	free, count := 0, map[string]int{}
	for i := 0; i < len(payload); i += stride(37) {
		bad := bytes.Clone(payload)
		bad[i] ^= 1 << (i % 8)
		v, err := statement.VerifyProof(s.signProof(bad), s.expect())
		switch name := named(err); {
		case err == nil && v.MadeUnixNS != s.full().MadeUnixNS:
			free++
		case name == "":
			t.Fatalf("byte %d of %d: %v", i, len(payload), err)
		default:
			count[name]++
		}
	}
	if free > 8 {
		t.Fatalf("%d bytes are the core's choice, only the eight of made_unix_ns may be", free)
	}
	t.Logf("%d bytes are the core's free choice; the others refused by: %v", free, count)
}

// sentinels are the refusals by which a changed proof may be caught.
var sentinels = []error{statement.ErrWrongCore, statement.ErrProofSignature, statement.ErrChallengeSigned, statement.ErrUnknownGate,
	statement.ErrUnknownBeacon, statement.ErrBeaconSignature, statement.ErrResultMissing,
	statement.ErrPreviousProof, statement.ErrVersion, statement.ErrSuite, statement.ErrMadeTime, statement.ErrStatementOrder,
	statement.ErrDuplicateBeacon, statement.ErrNotInCommittee, statement.ErrResultOrder, statement.ErrNoStatement,
	statement.ErrCoreRole, statement.ErrTimedKeys, statement.ErrProof}

func named(err error) string {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return fmt.Sprint(s)
		}
	}
	return ""
}

func TestChallengeRefused(t *testing.T) {
	s := newScene(t, func(d *directory.Directory) {
		d.Quarantine = []directory.Quarantine{{Beacon: d.Beacons[3].ID(), SinceUnixNS: now, Reason: "moved"}}
	})
	for _, c := range challengeForgeries() {
		ch := s.asked.Challenge()
		c.forge(&ch)
		payload, err := canon.Marshal(ch)
		if err != nil {
			t.Fatal(err)
		}
		e, err := identity.Seal(s.gate, identity.TypeChallenge, payload)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := statement.VerifyChallenge(e, s.dir, now)
		if !errors.Is(err, c.want) || asked.Valid() != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	quarantined := s.challenge
	quarantined.Committee = []identity.ID{s.beacons[3].ID()}
	for _, c := range []struct {
		name      string
		signer    *identity.Private
		challenge statement.Challenge
		want      error
	}{{"a core asks", s.core, s.challenge, statement.ErrUnknownGate}, {"quarantined member", s.gate, quarantined, statement.ErrCommitteeStranger}} {
		e, err := c.challenge.Seal(c.signer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := statement.VerifyChallenge(e, s.dir, now); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := statement.VerifyChallenge(s.envelope, nil, now); !errors.Is(err, statement.ErrDirectory) {
		t.Error(err)
	}
}

type challengeForgery struct {
	name  string
	want  error
	forge func(*statement.Challenge)
}

// challengeForgeries are what a gate of the directory might sign.
func challengeForgeries() []challengeForgery {
	type c = statement.Challenge
	return []challengeForgery{
		{"honest", nil, func(*c) {}},
		{"version", statement.ErrVersion, func(c *c) { c.Version = 2 }},
		{"suite", statement.ErrSuite, func(c *c) { c.Suite = 2 }},
		{"no nonce", statement.ErrNoNonce, func(c *c) { c.NonceG = [32]byte{} }},
		{"no policy", statement.ErrNoPolicy, func(c *c) { c.PolicyHash = [32]byte{} }},
		{"no core", statement.ErrNoCore, func(c *c) { c.Core = identity.ID{} }},
		{"no time", statement.ErrTTL, func(c *c) { c.TTLNS = 0 }},
		{"negative time", statement.ErrTTL, func(c *c) { c.TTLNS = -1 }},
		{"an hour", statement.ErrTTL, func(c *c) { c.TTLNS = 3600 * second }},
		{"never issued", statement.ErrTTL, func(c *c) { c.IssuedUnixNS = -1 << 63 }},
		{"too few rounds", statement.ErrRoundLimits, func(c *c) { c.RoundsMin = 7 }},
		{"max below min", statement.ErrRoundLimits, func(c *c) { c.RoundsMax = 7 }},
		{"too many rounds", statement.ErrRoundLimits, func(c *c) { c.RoundsMax = 257 }},
		{"no committee", statement.ErrCommittee, func(c *c) { c.Committee = nil }},
		{"committee of nobody", statement.ErrCommittee, func(c *c) { c.Committee = []identity.ID{{}} }},
		{"committee of 65", statement.ErrCommittee, func(c *c) { c.Committee = make([]identity.ID, 65) }},
		{"member twice", statement.ErrCommittee, func(c *c) { c.Committee = append(c.Committee[:1:1], c.Committee[0]) }},
		{"stranger", statement.ErrCommitteeStranger, func(c *c) { c.Committee = []identity.ID{{1}} }},
		{"names another gate", statement.ErrWrongGate, func(c *c) { c.Gate[0] ^= 1 }},
		{"another epoch", statement.ErrWrongEpoch, func(c *c) { c.DirectoryEpoch++ }},
		{"another directory", statement.ErrWrongDirectory, func(c *c) { c.DirectoryHash[0] ^= 1 }},
		{"from the future", statement.ErrChallengeEarly, func(c *c) { c.IssuedUnixNS = now + 61*second }},
		{"within the skew", nil, func(c *c) { c.IssuedUnixNS = now + 59*second }},
		{"expired", statement.ErrChallengeExpired, func(c *c) { c.IssuedUnixNS = now - c.TTLNS - 1 }},
		{"in its last nanosecond", nil, func(c *c) { c.IssuedUnixNS = now - c.TTLNS }},
	}
}
