package statement_test

import (
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

func TestHonestRun(t *testing.T) {
	s := newScene(t, nil)
	honest, err := statement.VerifyProof(s.seal(s.proof()), s.expect())
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range honest.Facts {
		if _, err := statement.VerifyStatement(s.signed(i), s.context()); err != nil {
			t.Fatal(err)
		}
		b := s.draft.Beacons[i]
		if !f.Verified() || f.Beacon != b.ID() || f.Position != b.ECEF() || f.PosUnc != 3 || f.RoundsOK != 30 || f.TimedKey != s.timed.ID() {
			t.Fatalf("%+v", f)
		}
		if f.Bound(statement.TimingBoth) != 1_010_000 || f.Bound(statement.TimingBeacon) != earth.RTT(1_000_000+i) || f.Bound(0) != 1_010_000 {
			t.Fatal(f.Bound(statement.TimingBoth), f.Bound(statement.TimingBeacon))
		}
	}
	p := s.proof()
	p.Statements[0], p.Statements[2] = p.Statements[2], p.Statements[0] // Seal brings them into order
	data, hash, err := p.Seal(s.core)
	if err != nil {
		t.Fatal(err)
	}
	v, err := statement.VerifyProof(data, s.expect())
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Facts) != 3 || v.Hash != hash || !v.Core.Equal(s.core.Public()) || len(v.Results) != 2 || v.Asked.Hash() != s.asked.Hash() {
		t.Fatalf("%+v", v)
	}
	x, err := statement.Expecting(data, s.dir, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := statement.VerifyProof(data, x); err != nil {
		t.Fatal(err)
	}
}

// A fact that nobody verified bounds nothing.
func TestUnverifiedFactBoundsNothing(t *testing.T) {
	f := statement.Fact{RTTBeacon: 1, RTTCore: 1}
	if f.Verified() || f.Bound(statement.TimingBoth) != statement.Unbounded || f.Bound(statement.TimingBeacon) != statement.Unbounded {
		t.Fatal("a hand-made fact bounds")
	}
}

// Every rule of a statement, broken alone by a beacon that signs whatever it likes.
func TestStatementRefused(t *testing.T) {
	s := newScene(t, nil)
	for _, c := range statementForgeries(s) {
		st := s.statement(0)
		c.forge(&st)
		payload, err := canon.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := statement.VerifyStatement(s.sign(s.beacons[0], payload), s.context()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

type forgery struct {
	name  string
	want  error
	forge func(*statement.Statement)
}

func statementForgeries(s *scene) []forgery {
	type st = statement.Statement
	return []forgery{
		{"version 0", statement.ErrVersion, func(s *st) { s.Version = 0 }},
		{"version 2", statement.ErrVersion, func(s *st) { s.Version = 2 }},
		{"kind 0", statement.ErrKind, func(s *st) { s.Kind = 0 }},
		{"kind 2", statement.ErrKind, func(s *st) { s.Kind = 2 }},
		{"suite 0", statement.ErrSuite, func(s *st) { s.Suite = 0 }},
		{"suite 2", statement.ErrSuite, func(s *st) { s.Suite = 2 }},
		{"unknown flag", statement.ErrFlags, func(s *st) { s.Flags |= 1 << 7 }},
		{"highest flag", statement.ErrFlags, func(s *st) { s.Flags |= 1 << 63 }},
		{"no beacon", statement.ErrNoBeacon, func(s *st) { s.Beacon = identity.ID{} }},
		{"no core", statement.ErrNoCore, func(s *st) { s.Core = identity.ID{} }},
		{"no timed key", statement.ErrNoTimedKey, func(s *st) { s.TimedKey = identity.TimedKeyID{} }},
		{"no session", statement.ErrNoHash, func(s *st) { s.SessionID = [16]byte{} }},
		{"no challenge hash", statement.ErrNoHash, func(s *st) { s.ChallengeHash = [32]byte{} }},
		{"no exporter hash", statement.ErrNoHash, func(s *st) { s.ExporterHash = [32]byte{} }},
		{"no transcript hash", statement.ErrNoHash, func(s *st) { s.TranscriptHash = [32]byte{} }},
		{"no previous proof", statement.ErrNoHash, func(s *st) { s.PreviousProof = [32]byte{} }},
		{"no beacon result", statement.ErrNoHash, func(s *st) { s.BeaconResult = [32]byte{} }},
		{"no core result", statement.ErrNoHash, func(s *st) { s.CoreResult = [32]byte{} }},
		{"at the Earth's centre", statement.ErrPosition, func(s *st) { s.PositionMM = [3]int64{} }},
		{"in orbit", statement.ErrPosition, func(s *st) { s.PositionMM = [3]int64{6_450_000_000, 0, 0} }},
		{"position overflows", statement.ErrPosition, func(s *st) { s.PositionMM = [3]int64{-1 << 63, 0, 0} }},
		{"zero uncertainty", statement.ErrNoUncertainty, func(s *st) { s.PosUncMM = 0 }},
		{"absurd uncertainty", statement.ErrUncertainty, func(s *st) { s.PosUncMM = 1 << 63 }},
		{"no domain", statement.ErrNoDomain, func(s *st) { s.Domains = nil }},
		{"domains twice", statement.ErrDomains, func(s *st) { s.Domains = []string{"a", "a"} }},
		{"domains unsorted", statement.ErrDomains, func(s *st) { s.Domains = []string{"b", "a"} }},
		{"empty domain", statement.ErrDomains, func(s *st) { s.Domains = []string{""} }},
		{"no start", statement.ErrEndBeforeStart, func(s *st) { s.StartUnixNS = 0 }},
		{"end before start", statement.ErrEndBeforeStart, func(s *st) { s.EndUnixNS = s.StartUnixNS - 1 }},
		{"expiry before end", statement.ErrNotAfter, func(s *st) { s.NotAfterUnixNS = s.EndUnixNS }},
		{"more rounds than sent", statement.ErrRounds, func(s *st) { s.RoundsOK = s.RoundsSent + 1 }},
		{"seven rounds", statement.ErrTooFewRounds, func(s *st) { s.RoundsOK = 7 }},
		{"no rounds", statement.ErrTooFewRounds, func(s *st) { s.RoundsOK, s.RoundsSent = 0, 0 }},
		{"65 rounds", statement.ErrTooManyRounds, func(s *st) { s.RoundsSent = 65 }},
		{"300 rounds", statement.ErrTooManyRounds, func(s *st) { s.RoundsSent = 300 }},
		{"zero RTT", statement.ErrRTT, func(s *st) { s.RTTBeaconMinNS = 0 }},
		{"negative RTT", statement.ErrRTT, func(s *st) { s.RTTBeaconMinNS = -1 }},
		{"most negative RTT", statement.ErrRTT, func(s *st) { s.RTTBeaconMinNS = -1 << 63 }},
		{"zero core RTT", statement.ErrRTT, func(s *st) { s.RTTCoreMinNS = 0 }},
		{"negative core RTT", statement.ErrRTT, func(s *st) { s.RTTCoreMinNS = -1_000_000 }},
		{"eleven seconds", statement.ErrRTT, func(s *st) { s.RTTBeaconP90NS = 11_000_000_000 }},
		{"minimum above p10", statement.ErrPercentiles, func(s *st) { s.RTTBeaconMinNS = s.RTTBeaconP10NS + 1 }},
		{"p10 above p50", statement.ErrPercentiles, func(s *st) { s.RTTBeaconP10NS = s.RTTBeaconP50NS + 1 }},
		{"p50 above p90", statement.ErrPercentiles, func(s *st) { s.RTTBeaconP50NS = s.RTTBeaconP90NS + 1 }},
		{"no granularity", statement.ErrGranularity, func(s *st) { s.TimerGranularityNS = 0 }},
		{"granularity of hours", statement.ErrGranularity, func(s *st) { s.TimerGranularityNS = 1 << 63 }},
		{"perfect clock", statement.ErrTimerError, func(s *st) { s.TimerErrorPPB = 0 }},
		{"hopeless clock", statement.ErrTimerError, func(s *st) { s.TimerErrorPPB = 1 << 62 }},
		{"no payload", statement.ErrPayloadLen, func(s *st) { s.PayloadLen = 0 }},
		{"jumbo payload", statement.ErrPayloadLen, func(s *st) { s.PayloadLen = 1453 }},
		{"another beacon", statement.ErrWrongBeacon, func(st *st) { st.Beacon = s.beacons[1].ID() }},
		{"another core", statement.ErrWrongCore, func(st *st) { st.Core = s.beacons[1].ID() }},
		{"another challenge", statement.ErrChallengeHash, func(s *st) { s.ChallengeHash[0] ^= 1 }},
		{"older epoch", statement.ErrWrongEpoch, func(s *st) { s.DirectoryEpoch-- }},
		{"moved by a millimetre", statement.ErrWrongPosition, func(s *st) { s.PositionMM[2]++ }},
		{"better survey", statement.ErrWrongUncertainty, func(s *st) { s.PosUncMM-- }},
		{"other domains", statement.ErrWrongDomains, func(s *st) { s.Domains = s.Domains[:1] }},
		{"another chain", statement.ErrPreviousProof, func(s *st) { s.PreviousProof[5] ^= 1 }},
		{"from the future", statement.ErrFuture, func(s *st) {
			s.StartUnixNS, s.EndUnixNS, s.NotAfterUnixNS = now+61*second, now+62*second, now+63*second
		}},
		{"expired", statement.ErrExpired, func(s *st) { s.NotAfterUnixNS = now - 1 }},
	}
}

// What goes wrong around an honest statement.
func TestStatementRefusedInContext(t *testing.T) {
	s := newScene(t, nil)
	good := s.signed(0)
	other := sceneKeys()[identity.RoleCore][1]
	quarantined := newScene(t, func(d *directory.Directory) {
		d.Quarantine = []directory.Quarantine{{Beacon: d.Beacons[3].ID(), SinceUnixNS: now, Reason: "moved"}}
	})
	flip := func(b []byte, i int) []byte { c := append([]byte{}, b...); c[i] ^= 1; return c }
	with := func(f func(*identity.Envelope)) identity.Envelope { c := good; f(&c); return c }
	context := func(f func(*statement.Context)) statement.Context { x := s.context(); f(&x); return x }
	cases := []struct {
		name string
		c    identity.Envelope
		x    statement.Context
		want []error
	}{
		{"no directory", good, context(func(x *statement.Context) { x.Directory = nil }), []error{statement.ErrDirectory, directory.ErrUnverified}},
		{"directory is a draft", good, context(func(x *statement.Context) { x.Directory = &s.draft }), []error{statement.ErrDirectory, directory.ErrUnverified}},
		{"directory expired", good, context(func(x *statement.Context) { x.NowUnixNS = now + 1001*second }), []error{statement.ErrDirectory, directory.ErrExpired}},
		{"no challenge", good, context(func(x *statement.Context) { x.Asked = statement.Asked{} }), []error{statement.ErrNotAsked}},
		{"unknown beacon", with(func(c *identity.Envelope) { c.Signer[0] ^= 1 }), s.context(), []error{statement.ErrUnknownBeacon}},
		{"beacon not asked", s.sign(s.beacons[3], good.Payload), s.context(), []error{statement.ErrNotInCommittee}},
		{"quarantined", quarantined.sign(quarantined.beacons[3], good.Payload), quarantined.context(), []error{statement.ErrQuarantined}},
		{"another listed beacon signs", with(func(c *identity.Envelope) { c.Signer = s.beacons[1].ID() }), s.context(), []error{statement.ErrBeaconSignature, identity.ErrEd25519}},
		{"first half", with(func(c *identity.Envelope) { c.Signature = flip(c.Signature, 0) }), s.context(), []error{statement.ErrBeaconSignature, identity.ErrEd25519}},
		{"second half", with(func(c *identity.Envelope) { c.Signature = flip(c.Signature, 99) }), s.context(), []error{statement.ErrBeaconSignature, identity.ErrMLDSA65}},
		{"type", with(func(c *identity.Envelope) { c.Type = identity.TypeProof }), s.context(), []error{statement.ErrBeaconSignature, identity.ErrEnvelopeType}},
		{"another core expected", good, context(func(x *statement.Context) { x.Core = other.Public() }), []error{statement.ErrWrongCore}},
		{"no core expected", good, context(func(x *statement.Context) { x.Core = identity.Public{} }), []error{statement.ErrWrongCore}},
		{"no chain expected", good, context(func(x *statement.Context) { x.PreviousProof = [32]byte{} }), []error{statement.ErrPreviousProof}},
		{"past its expiry", good, context(func(x *statement.Context) { x.NowUnixNS = now + 61*second }), []error{statement.ErrExpired}},
		{"at its expiry", good, context(func(x *statement.Context) { x.NowUnixNS = now + 60*second }), nil},
	}
	for _, c := range cases {
		_, err := statement.VerifyStatement(c.c, c.x)
		if c.want == nil && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, want := range c.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", c.name, err, want)
			}
		}
	}
}

// A beacon whose entry has run out, or has not begun, is not believed even while the directory is.
func TestStatementOfExpiredBeacon(t *testing.T) {
	s := newScene(t, nil)
	x := s.context()
	x.Directory = s.publish(func() directory.Directory {
		d := s.draft
		d.Beacons = append([]directory.Beacon{}, d.Beacons...)
		d.Beacons[0].ExpiresUnixNS = now
		return d
	}())
	if _, err := statement.VerifyStatement(s.signed(0), x); !errors.Is(err, statement.ErrBeaconExpired) {
		t.Fatal(err)
	}
}

// A batch of statements: each is opened with its path, the signature is verified once.
func TestBatchedStatements(t *testing.T) {
	s := newScene(t, nil)
	var payloads [][]byte
	for i := range 5 {
		st := s.statement(0)
		st.SessionID[5] = byte(i + 1)
		b, err := st.Encode()
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, b)
	}
	envelopes, err := identity.SealBatch(s.beacons[0], identity.TypeStatement, payloads)
	if err != nil {
		t.Fatal(err)
	}
	x := s.context()
	x.Roots = identity.NewRootCache(8)
	for _, e := range envelopes {
		if _, err := statement.VerifyStatement(e, x); err != nil {
			t.Fatal(err)
		}
	}
	if hits, misses := x.Roots.Stats(); hits != 4 || misses != 1 {
		t.Fatal(hits, misses)
	}
}

func TestCountersign(t *testing.T) {
	s := newScene(t, nil)
	st := s.statement(0)
	e, err := st.Seal(s.beacons[0])
	if err != nil {
		t.Fatal(err)
	}
	agreed := statement.Agreed{SessionID: st.SessionID, ExporterHash: st.ExporterHash, TranscriptHash: st.TranscriptHash,
		RTTCoreMinNS: st.RTTCoreMinNS, CoreResult: st.CoreResult, TimedKey: st.TimedKey}
	signature, err := statement.Countersign(s.core, e, s.context(), agreed)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.core.Public().Verify(identity.TypeCountersign, e.Payload, signature); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*statement.Agreed){
		"session": func(a *statement.Agreed) { a.SessionID[7] ^= 1 }, "exporter": func(a *statement.Agreed) { a.ExporterHash[0] ^= 1 },
		"transcript": func(a *statement.Agreed) { a.TranscriptHash[0] ^= 1 }, "time": func(a *statement.Agreed) { a.RTTCoreMinNS++ },
		"result": func(a *statement.Agreed) { a.CoreResult[0] ^= 1 }, "timed key": func(a *statement.Agreed) { a.TimedKey[0] ^= 1 },
	} {
		a := agreed
		change(&a)
		if _, err := statement.Countersign(s.core, e, s.context(), a); !errors.Is(err, statement.ErrDisagree) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := statement.Countersign(s.core, e, s.context(), statement.Agreed{}); !errors.Is(err, statement.ErrAgreedUnspecified) {
		t.Error(err)
	}
	if _, err := statement.Countersign(sceneKeys()[identity.RoleCore][1], e, s.context(), agreed); !errors.Is(err, statement.ErrWrongCore) {
		t.Error(err)
	}
}
