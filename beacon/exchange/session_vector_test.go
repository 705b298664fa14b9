package exchange

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// base64Bytes is bytes that are standard base64 in a vector file.
type base64Bytes []byte

// MarshalText writes standard base64.
func (b base64Bytes) MarshalText() ([]byte, error) {
	return []byte(base64.StdEncoding.EncodeToString(b)), nil
}

// UnmarshalText reads standard base64.
func (b *base64Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = base64.StdEncoding.DecodeString(string(text))
	return err
}

// sessionVector is one whole exchange as the core saw it, with the core's secrets, and messages that one side or the other must
// refuse.
type sessionVector struct {
	Comment       string        `json:"comment"`
	CoreSeed      hexBytes      `json:"core_identity_seed"`
	CorePublic    base64Bytes   `json:"core_public"`
	TimedSeed     hexBytes      `json:"timed_key_seed"`
	DirectoryRoot base64Bytes   `json:"directory_root_public"`
	Directory     base64Bytes   `json:"directory"`
	UnixNS        int64         `json:"unix_ns"`
	BeaconID      hexBytes      `json:"beacon_id"`
	Binding       hexBytes      `json:"exporter_binding"`
	ChannelKey    hexBytes      `json:"exporter_key"`
	NonceCore     hexBytes      `json:"nonce_c"`
	SeedCore      hexBytes      `json:"seed_c"`
	KEMSecret     hexBytes      `json:"kem_secret"`
	Transcript    hexBytes      `json:"transcript_hash"`
	Init          base64Bytes   `json:"init"`
	Accept        base64Bytes   `json:"accept"`
	Ready         base64Bytes   `json:"ready"`
	Rounds        []wireRound   `json:"rounds"`
	Stop          base64Bytes   `json:"stop"`
	Times         base64Bytes   `json:"times"`
	Result        base64Bytes   `json:"result"`
	Countersign   base64Bytes   `json:"countersign"`
	Forged        []forgedEntry `json:"forged"`
}

type wireRound struct {
	CH hexBytes `json:"ch"`
	RS hexBytes `json:"rs"`
	FN hexBytes `json:"fn"`
	NS int64    `json:"core_ns"` // from the departure of RS to the arrival of FN
}

// forgedEntry stands in the place of the good message of its kind. Either Message is the whole of it, or At says from which byte on
// the good one is replaced by Bytes.
type forgedEntry struct {
	Name      string      `json:"name"`
	Of        string      `json:"of"` // init, accept, stop or result
	Message   base64Bytes `json:"message,omitempty"`
	At        int         `json:"at,omitempty"`
	Bytes     hexBytes    `json:"bytes,omitempty"`
	RefusedBy string      `json:"refused_by"`
}

const sessionFile = "testdata/vectors/session.json"

func (v *sessionVector) message(of string) base64Bytes {
	return map[string]base64Bytes{"init": v.Init, "accept": v.Accept, "stop": v.Stop, "result": v.Result}[of]
}

func (f forgedEntry) bytes(v *sessionVector) []byte {
	if f.Message != nil {
		return f.Message
	}
	b := append([]byte(nil), v.message(f.Of)...)
	copy(b[f.At:], f.Bytes)
	return b
}

func init() {
	for name, err := range map[string]error{
		"ErrAcceptSignature": ErrAcceptSignature, "ErrOtherInit": ErrOtherInit, "ErrTerms": ErrTerms, "ErrTimes": ErrTimes,
		"ErrTimesOpened": ErrTimesOpened, "ErrSeed": ErrSeed, "ErrStatement": ErrStatement, "ErrSignature": ErrSignature,
		"ErrTooFewRounds": ErrTooFewRounds, "ErrCarrier": ErrCarrier, "ErrTimedKey": ErrTimedKey,
	} {
		sentinels[name] = err
	}
}

// record runs an honest exchange and writes down what a core needs to repeat its side.
func recordSession(t *testing.T) *sessionVector {
	t.Helper()
	p := newPair(t)
	v := &sessionVector{
		Comment: "One exchange of ursa/1. Signatures are hedged, so a core's own messages differ in their signatures from these; what it " +
			"must reproduce are the answers. Continue with the recorded messages of the core, whose hashes the beacon's refer to.",
		UnixNS: epochNS, Binding: p.coreCfg.Binding[:], ChannelKey: p.coreCfg.ChannelKey[:],
	}
	byKind := map[Kind]*base64Bytes{
		KindInit: &v.Init, KindAccept: &v.Accept, KindReady: &v.Ready, KindStop: &v.Stop, KindTimes: &v.Times, KindResult: &v.Result,
		KindCountersign: &v.Countersign,
	}
	p.message = func(_ bool, msg []byte) []byte {
		*byKind[Kind(msg[0])] = append(base64Bytes(nil), msg...)
		return msg
	}
	p.packet = func(_ bool, packet Packet) []arriving {
		switch packet.Kind() {
		case CH:
			v.Rounds = append(v.Rounds, wireRound{CH: packet[:]})
		case RS:
			v.Rounds[packet.Index()].RS = packet[:]
		case FN:
			v.Rounds[packet.Index()].FN = packet[:]
		}
		return []arriving{{p: packet}}
	}
	p.run()
	_, c := p.bothDone()
	for i, r := range p.core.answerer.rounds[:p.core.answerer.valid] {
		v.Rounds[i].NS = r.NS
	}
	secret, err := p.coreCfg.TimedKey.Decapsulate(p.core.accept.Ciphertext)
	if err != nil {
		t.Fatal(err)
	}
	id := p.world.Beacons[0].ID()
	seed := sha256.Sum256([]byte("exchangetest core/core"))
	timedSeed := exchangetest.TimedSeed("core")
	v.TimedSeed = timedSeed[:]
	v.CoreSeed, v.KEMSecret, v.BeaconID = seed[:], secret, id[:]
	v.NonceCore, v.SeedCore, v.Transcript = p.core.nonce[:], p.core.seed[:], c.Statement.TranscriptHash[:]
	v.Directory, v.DirectoryRoot = p.world.Signed, mustPublic(t, p.world.Root)
	v.CorePublic = mustPublic(t, p.coreKey)
	forgeSession(t, p, v)
	return v
}

func mustPublic(t *testing.T, key *identity.Private) []byte {
	t.Helper()
	b, err := key.Public().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forgeSession adds what must be refused: signed again by whoever could, or changed in one byte.
func forgeSession(t *testing.T, p *pair, v *sessionVector) {
	t.Helper()
	add := func(name, of, by string, msg []byte) {
		v.Forged = append(v.Forged, forgedEntry{Name: name, Of: of, Message: msg, RefusedBy: by})
	}
	init := func(edit func(*initBody)) []byte {
		return resign(t, p.coreKey, v.Init, KindInit, identity.TypeInit, edit)
	}
	accept := func(edit func(*acceptBody)) []byte {
		return resign(t, p.world.Beacons[0], v.Accept, KindAccept, identity.TypeAccept, edit)
	}
	add("suite 2", "init", "ErrSuite", init(func(b *initBody) { b.Suite = 2 }))
	add("for another beacon", "init", "ErrWrongBeacon", init(func(b *initBody) { b.Beacon[0] ^= 1 }))
	add("over another channel", "init", "ErrBinding", init(func(b *initBody) { b.Binding[0] ^= 1 }))
	add("frames that the beacon has not", "init", "ErrCarrier", init(func(b *initBody) { b.Carrier = CarrierDatagrams }))
	other := p.world.Challenge(t, exchangetest.Key(t, identity.RoleCore, "near core").ID(), nil)
	add("challenge of another core", "init", "ErrOtherCore", init(func(b *initBody) { b.Challenge = other }))
	stale := p.world.Challenge(t, p.coreKey.ID(), func(c *statement.Challenge) { c.IssuedUnixNS -= int64(time.Hour) })
	add("challenge expired", "init", "ErrExpired", init(func(b *initBody) { b.Challenge = stale }))
	small := wireOfKey(t, p.coreKey.Public())
	small.Ed = append([]byte{1}, make([]byte, 31)...)
	add("small-order Ed25519 key", "init", "ErrCoreKey", init(func(b *initBody) { b.Core = mustCanon(t, small) }))
	mixed := wireOfKey(t, p.coreKey.Public())
	mixed.MLDSA = wireOfKey(t, exchangetest.Key(t, identity.RoleCore, "near core").Public()).MLDSA
	add("halves of two identities", "init", "ErrCoreKey", init(func(b *initBody) { b.Core = mustCanon(t, mixed) }))
	short, loworder := p.coreCfg.TimedKey.Public().Bytes()[1:], p.coreCfg.TimedKey.Public().Bytes()
	clear(loworder[len(loworder)-32:])
	add("timed key cut", "init", "ErrTimedKey", init(func(b *initBody) { b.TimedKey = short }))
	add("timed key of small order", "init", "ErrTimedKey", init(func(b *initBody) { b.TimedKey = loworder }))
	add("Ed25519 half of the signature", "init", "ErrInitSignature", corrupt(t, v.Init, KindInit, 10))
	add("ML-DSA half of the signature", "init", "ErrInitSignature", corrupt(t, v.Init, KindInit, 200))
	add("answers another opening", "accept", "ErrOtherInit", accept(func(b *acceptBody) { b.Init[0] ^= 1 }))
	add("over another channel", "accept", "ErrBinding", accept(func(b *acceptBody) { b.Binding[0] ^= 1 }))
	add("frames that nobody asked for", "accept", "ErrTerms", accept(func(b *acceptBody) { b.Path = PathDatagram }))
	add("larger rounds", "accept", "ErrTerms", accept(func(b *acceptBody) { b.PayloadSize = 1200 }))
	add("more rounds than there are", "accept", "ErrTerms", accept(func(b *acceptBody) { b.MaxRounds = 65 }))
	add("ML-DSA half of the signature", "accept", "ErrAcceptSignature", corrupt(t, v.Accept, KindAccept, 200))
	v.Forged = append(v.Forged,
		forgedEntry{Name: "unknown kind of message", Of: "init", At: 0, Bytes: hexBytes{0x63}, RefusedBy: "ErrMessageKind"},
		forgedEntry{Name: "longer than its kind may be", Of: "init", At: 1, Bytes: hexBytes{0, 1, 0, 0}, RefusedBy: "ErrMessageSize"},
		forgedEntry{Name: "not deterministic CBOR", Of: "init", At: HeadSize, Bytes: hexBytes{0xbf}, RefusedBy: "ErrMalformed"},
		forgedEntry{Name: "stop of another session", Of: "stop", At: HeadSize + 4, Bytes: hexBytes{0xff}, RefusedBy: "ErrTimes"},
		forgedEntry{Name: "statement changed after signing", Of: "result", At: HeadSize + 400, Bytes: hexBytes{0xff, 0xff}, RefusedBy: "ErrStatement"},
	)
}

func mustCanon(t *testing.T, v any) []byte {
	t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replay is a core that continues from recorded secrets.
type replay struct {
	t     *testing.T
	v     *sessionVector
	core  *Core
	clock *fakeClock
	now   int64
}

func newReplay(t *testing.T, v *sessionVector) *replay {
	t.Helper()
	root, err := identity.ParsePublic(v.DirectoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.Verify(v.Directory, []identity.Public{root}, 1, v.UnixNS)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.FromSeed(identity.RoleCore, [32]byte(v.CoreSeed))
	if err != nil {
		t.Fatal(err)
	}
	timed, err := identity.NewTimedKey(bytes.NewReader(v.TimedSeed))
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{t: t, v: v}
	r.clock = &fakeClock{truth: &r.now, q: fine, real: truthful, raw: truthful}
	var env identity.Envelope
	var in initBody
	mustDecode(t, KindInit, v.Init[HeadSize:], &env)
	mustDecode(t, KindInit, env.Payload, &in)
	challenge, err := identity.DecodeEnvelope(in.Challenge, statement.MaxChallengeSize)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := statement.VerifyChallenge(challenge, d, v.UnixNS)
	if err != nil {
		t.Fatal(err)
	}
	r.core, err = NewCore(CoreConfig{
		Key: key, TimedKey: timed, Directory: d, Beacon: identity.ID(v.BeaconID), UnixNS: v.UnixNS, Quality: fine, Mode: in.Mode, Carrier: in.Carrier,
		Challenge: in.Challenge, Asked: asked, Previous: in.Previous, Attestation: in.Attestation,
		Binding: [32]byte(v.Binding), ChannelKey: [32]byte(v.ChannelKey), Random: bytes.NewReader(append(v.NonceCore[:32:32], v.SeedCore...)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.core.init, r.core.digests.init, r.core.state = in, sha256.Sum256(v.Init[HeadSize:]), coreAccept
	r.core.wake = stamp.Never
	return r
}

// take hands the core a message and returns what it says.
func (r *replay) take(msg []byte) ([]byte, error) {
	out, err := r.core.Step(stamp.Instant(r.now), GotMessage(msg))
	return out.Message, err
}

// round repeats one recorded round and requires the recorded answer.
func (r *replay) round(i int) {
	r.t.Helper()
	w := r.v.Rounds[i]
	ch, fn := Packet(w.CH), Packet(w.FN)
	out, err := r.core.Step(stamp.Instant(r.now), GotPacket(&ch))
	if err != nil || out.Refused != nil || !bytes.Equal(out.Packet[:], w.RS) {
		r.t.Fatalf("round %d: %v, %v; or the answer differs", i, err, out.Refused)
	}
	if _, err := r.core.Step(stamp.Instant(r.now), Departed(departNow(r.t, r.clock))); err != nil {
		r.t.Fatal(err)
	}
	r.now += w.NS
	if out, err := r.core.Step(stamp.Instant(r.now), GotPacket(&fn)); err != nil || !out.Stamped {
		r.t.Fatalf("round %d: FN: %v, %v", i, err, out.Refused)
	}
	if _, err := r.core.Step(stamp.Instant(r.now), Arrived(arrivalNow(r.t, r.clock))); err != nil {
		r.t.Fatal(err)
	}
}

// upTo replays everything before the message of that name.
func (r *replay) upTo(of string) {
	r.t.Helper()
	if of == "accept" {
		return
	}
	if _, err := r.take(r.v.Accept); err != nil {
		r.t.Fatal(err)
	}
	for i := range r.v.Rounds {
		r.round(i)
	}
	if of == "stop" {
		return
	}
	if _, err := r.take(r.v.Stop); err != nil {
		r.t.Fatal(err)
	}
	r.core.digests.times = sha256.Sum256(r.v.Times[HeadSize:]) // go on with the recorded signature
}

// TestSessionVector repeats a recorded exchange from the core's side, then hands every forged message to whoever must refuse it.
func TestSessionVector(t *testing.T) {
	if *update {
		writeJSON(t, sessionFile, recordSession(t))
	}
	var v sessionVector
	readJSON(t, sessionFile, &v)
	r := newReplay(t, &v)
	r.upTo("result")
	if _, err := r.take(v.Result); err != nil {
		t.Fatal(err)
	}
	result, _ := r.core.Result()
	if got := result.Statement.TranscriptHash; !bytes.Equal(got[:], v.Transcript) {
		t.Errorf("transcript hash %x, recorded %x", got, v.Transcript)
	}
	var c countersignBody
	mustDecode(t, KindCountersign, v.Countersign[HeadSize:], &c)
	if err := r.core.cfg.Key.Public().Verify(identity.TypeCountersign, result.Signed.Payload, c.Signature); err != nil {
		t.Errorf("recorded countersignature: %v", err)
	}
	for _, f := range v.Forged {
		if err := refuseForged(t, &v, f); !errors.Is(err, sentinels[f.RefusedBy]) || err == nil {
			t.Errorf("%s (%s): refused by %v, want %s", f.Name, f.Of, err, f.RefusedBy)
		}
	}
}

func refuseForged(t *testing.T, v *sessionVector, f forgedEntry) error {
	t.Helper()
	if f.Of != "init" {
		r := newReplay(t, v)
		r.upTo(f.Of)
		_, err := r.take(f.bytes(v))
		return err
	}
	p := newPair(t)
	core := newReplay(t, v).core
	p.beaconCfg.Directory, p.beaconCfg.Binding, p.beaconCfg.ChannelKey = core.cfg.Directory, [32]byte(v.Binding), [32]byte(v.ChannelKey)
	p.beaconCfg.UnixNS = v.UnixNS
	p.make()
	if _, err := p.beacon.Step(0, GotMessage(v.Init)); err != nil {
		t.Fatalf("the good opening: %v", err)
	}
	p.beacon = nil
	p.make()
	_, err := p.beacon.Step(0, GotMessage(f.bytes(v)))
	return err
}
