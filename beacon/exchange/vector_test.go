package exchange

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"testing"
)

var update = flag.Bool("update", false, "record the test vectors anew")

// hexBytes is bytes that are hexadecimal in a vector file.
type hexBytes []byte

// MarshalText writes lower-case hexadecimal.
func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads hexadecimal.
func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// roundVectors pin everything that is computed in or for the timed phase. The first group is given, the rest follows from it.
type roundVectors struct {
	Comment     string   `json:"comment"`
	Core        hexBytes `json:"core_id"`
	Beacon      hexBytes `json:"beacon_id"`
	Session     hexBytes `json:"session"`
	NonceCore   hexBytes `json:"nonce_c"`
	NonceBeacon hexBytes `json:"nonce_b"`
	KEMSecret   hexBytes `json:"kem_secret"`
	ChannelKey  hexBytes `json:"channel_key"`
	Init        hexBytes `json:"init_sha256"`
	Accept      hexBytes `json:"accept_sha256"`
	SeedBeacon  hexBytes `json:"seed_b"`
	SeedCore    hexBytes `json:"seed_c"`
	Salt        hexBytes `json:"times_salt"`
	Times       []Round  `json:"times"`

	KeyC        hexBytes      `json:"k_c"`
	KeyR        hexBytes      `json:"k_r"`
	KeyF        hexBytes      `json:"k_f"`
	CommitB     hexBytes      `json:"commitment_b"`
	CommitC     hexBytes      `json:"commitment_c"`
	TimesCommit hexBytes      `json:"times_commitment"`
	Rounds      []roundVector `json:"rounds"`
}

type roundVector struct {
	Index  uint16         `json:"index"`
	Pause  uint64         `json:"pause_random"`
	CH     hexBytes       `json:"ch"`
	RS     hexBytes       `json:"rs"`
	FN     hexBytes       `json:"fn"`
	Forged []forgedPacket `json:"forged"`
}

// forgedPacket arrives while the round's challenge is outstanding (at the beacon) or before it (at the core).
type forgedPacket struct {
	Name      string   `json:"name"`
	To        string   `json:"to"`
	Packet    hexBytes `json:"packet"`
	RefusedBy string   `json:"refused_by"`
}

const roundFile = "testdata/vectors/rounds.json"

// sentinels are the names that vector files use for checks.
var sentinels = map[string]error{
	"ErrPacketSize": ErrPacketSize, "ErrPacketKind": ErrPacketKind, "ErrPacketSuite": ErrPacketSuite,
	"ErrPacketPadding": ErrPacketPadding, "ErrSession": ErrSession, "ErrWrongRound": ErrWrongRound, "ErrMAC": ErrMAC,
	"ErrTooMany": ErrTooMany, "ErrNoChallenge": ErrNoChallenge, "ErrAnswered": ErrAnswered,
	"ErrMalformed": ErrMalformed, "ErrMessageSize": ErrMessageSize, "ErrMessageKind": ErrMessageKind, "ErrUnexpected": ErrUnexpected,
	"ErrSuite": ErrSuite, "ErrWrongBeacon": ErrWrongBeacon, "ErrBinding": ErrBinding, "ErrChallenge": ErrChallenge,
	"ErrOtherCore": ErrOtherCore, "ErrNotCommittee": ErrNotCommittee, "ErrExpired": ErrExpired, "ErrUnknownGate": ErrUnknownGate,
	"ErrRoundsAsked": ErrRoundsAsked, "ErrCoreKey": ErrCoreKey, "ErrInitSignature": ErrInitSignature,
}

func filled(b byte, n int) hexBytes {
	out := make(hexBytes, n)
	for i := range out {
		out[i] = b + byte(i)
	}
	return out
}

// givenRounds are the inputs of the recorded vectors.
func givenRounds() roundVectors {
	return roundVectors{
		Comment: "Timed phase of ursa/1. From the fields up to `times` follow all others. Forged packets name the check that refuses them.",
		Core:    filled(0x00, 32), Beacon: filled(0x20, 32), Session: filled(0x40, 16), NonceCore: filled(0x50, 32),
		NonceBeacon: filled(0x70, 32), KEMSecret: filled(0x90, 32), ChannelKey: filled(0xb0, 32), Init: filled(0xd0, 32),
		Accept: filled(0xe0, 32), SeedBeacon: filled(0x11, 32), SeedCore: filled(0x22, 32), Salt: filled(0x33, 32),
		Times: []Round{{0, 20_000_000}, {1, 20_000_017}, {63, 1}},
	}
}

// compute fills in what follows from the given part.
func (v *roundVectors) compute(t *testing.T) {
	t.Helper()
	caller, answerer := v.machines(t)
	keys := v.keys(t)
	v.KeyC, v.KeyR, v.KeyF = keys.ch[:], keys.rs[:], keys.fn[:]
	b, c := Seed(v.SeedBeacon).Commit([32]byte(v.Beacon)), Seed(v.SeedCore).Commit([32]byte(v.Core))
	times, err := commitTimes(Session(v.Session), [32]byte(v.Salt), wireOf(v.Times))
	if err != nil {
		t.Fatal(err)
	}
	v.CommitB, v.CommitC, v.TimesCommit = b[:], c[:], times[:]
	v.Rounds = nil
	for i := range uint16(3) {
		ch := caller.challenges[i]
		rs, err := answerer.answer(&ch)
		if err != nil {
			t.Fatal(err)
		}
		answer := *rs
		var fn Packet
		fn.head(FN, Session(v.Session), i)
		caller.mac.fn.put(&fn, i, answer.value(), ch.value())
		r := roundVector{Index: i, Pause: caller.gaps[i], CH: ch[:], RS: answer[:], FN: fn[:]}
		r.forge()
		v.Rounds = append(v.Rounds, r)
	}
}

// forge adds packets that differ from the good ones in one respect.
func (r *roundVector) forge() {
	change := func(name, to, refusedBy string, p hexBytes, edit func(p hexBytes) hexBytes) {
		r.Forged = append(r.Forged, forgedPacket{name, to, edit(append(hexBytes(nil), p...)), refusedBy})
	}
	at := func(i int, bits byte) func(hexBytes) hexBytes {
		return func(p hexBytes) hexBytes { p[i] ^= bits; return p }
	}
	for _, side := range []struct {
		to  string
		p   hexBytes
		tag string
	}{{"beacon", r.RS, "RS"}, {"core", r.CH, "CH"}} {
		change(side.tag+" cut by one byte", side.to, "ErrPacketSize", side.p, func(p hexBytes) hexBytes { return p[:63] })
		change(side.tag+" longer by one byte", side.to, "ErrPacketSize", side.p, func(p hexBytes) hexBytes { return append(p, 0) })
		change(side.tag+" of no kind", side.to, "ErrPacketKind", side.p, func(p hexBytes) hexBytes { p[0] = 0x07; return p })
		change(side.tag+" of suite 2", side.to, "ErrPacketSuite", side.p, at(offSuite, 3))
		change(side.tag+" with padding", side.to, "ErrPacketPadding", side.p, at(63, 1))
		change(side.tag+" of another session", side.to, "ErrSession", side.p, at(offSession, 1))
		change(side.tag+" with another value", side.to, "ErrMAC", side.p, at(offValue, 0x80))
		change(side.tag+" with a changed tag", side.to, "ErrMAC", side.p, at(offTag+15, 1))
		change(side.tag+" with a blank tag", side.to, "ErrMAC", side.p, func(p hexBytes) hexBytes { clear(p[offTag:offPadding]); return p })
	}
	change("challenge sent back as answer", "beacon", "ErrMAC", r.CH, func(p hexBytes) hexBytes { p[0] = RS; return p })
	change("answer of another round", "beacon", "ErrWrongRound", r.RS, at(offIndex+1, 0x20))
	change("challenge of a round beyond the last", "core", "ErrTooMany", r.CH, func(p hexBytes) hexBytes { p[offIndex+1] = 64; return p })
	change("FN with a value", "core", "ErrPacketPadding", r.FN, at(offValue, 1))
	change("FN before its answer was sent", "core", "ErrNoChallenge", r.FN, at(0, 0))
}

func (v *roundVectors) keys(t *testing.T) roundKeys {
	t.Helper()
	keys, err := (&KeySchedule{
		KEMSecret: v.KEMSecret, ChannelKey: [32]byte(v.ChannelKey), NonceCore: [32]byte(v.NonceCore), NonceBeacon: [32]byte(v.NonceBeacon),
		Core: [32]byte(v.Core), Beacon: [32]byte(v.Beacon), Session: Session(v.Session), Init: [32]byte(v.Init), Accept: [32]byte(v.Accept),
	}).derive()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (v *roundVectors) machines(t *testing.T) (*caller, *answerer) {
	t.Helper()
	keys := v.keys(t)
	limits := DefaultLimits()
	limits.Spread = 0
	return newCaller(limits, Session(v.Session), Seed(v.SeedBeacon), keys, 1),
		newAnswerer(MaxRoundsEver, Session(v.Session), Seed(v.SeedCore), keys, 1)
}

// TestVectors compares the timed phase with the recorded values, and refuses every forged packet by the check that it names.
func TestVectors(t *testing.T) {
	if *update {
		v := givenRounds()
		v.compute(t)
		writeJSON(t, roundFile, v)
	}
	var want roundVectors
	recorded := readJSON(t, roundFile, &want)
	got := want
	got.compute(t)
	if again := encodeJSON(t, got); !bytes.Equal(again, recorded) {
		t.Errorf("%s differs from what is computed now; a change of the protocol needs a new version", roundFile)
	}
	for _, r := range want.Rounds {
		for _, f := range r.Forged {
			if err := want.refuse(t, r, f); !errors.Is(err, sentinels[f.RefusedBy]) || err == nil {
				t.Errorf("round %d, %s: refused by %v, want %s", r.Index, f.Name, err, f.RefusedBy)
			}
		}
	}
}

// refuse plays the rounds before, then the forged packet, then the good one, which must still be taken.
func (v *roundVectors) refuse(t *testing.T, r roundVector, f forgedPacket) error {
	t.Helper()
	p := newPair(t)
	caller, answerer := v.machines(t)
	caller.start(0)
	var refused error
	for i := range r.Index + 1 {
		good := v.Rounds[i]
		ch := caller.tick(0)
		if ch == nil || !bytes.Equal(ch[:], good.CH) {
			t.Fatalf("round %d: challenge differs", i)
		}
		caller.departed(departNow(t, p.clockB))
		if f.To == "core" && i == r.Index {
			refused = forgedAtCore(answerer, f)
		}
		rs, err := answerer.answer(ch)
		if err != nil || !bytes.Equal(rs[:], good.RS) {
			t.Fatalf("round %d: answer differs (%v)", i, err)
		}
		answerer.departed(departNow(t, p.clockC))
		p.now += 1000
		if f.To == "beacon" && i == r.Index {
			refused = forgedAtBeacon(caller, f)
		}
		fn, err := caller.answer(rs)
		if err != nil || !bytes.Equal(fn[:], good.FN) {
			t.Fatalf("round %d: finish differs (%v)", i, err)
		}
		caller.arrived(0, arrivalNow(t, p.clockB))
		if err := answerer.finish(fn); err != nil {
			t.Fatal(err)
		}
		answerer.arrived(arrivalNow(t, p.clockC))
	}
	return refused
}
