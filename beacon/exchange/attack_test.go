package exchange

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Every attack of the literature on distance bounding that this protocol answers, one test each. The names are those of Brands
// and Chaum, Desmedt, and Cremers et al., "Distance Hijacking Attacks on Distance Bounding Protocols" (IEEE S&P 2012). truthNS
// is the real round trip.
const truthNS = int64(20e6)

// mustNotShorten fails if the attack got a statement with a round trip below the truth.
func mustNotShorten(t *testing.T, p *pair) {
	t.Helper()
	for _, r := range p.beacon.caller.rounds[:p.beacon.caller.valid] {
		if r.NS < truthNS {
			t.Fatalf("round %d took %d ns by the beacon's clock, the truth is %d", r.Index, r.NS, truthNS)
		}
	}
	if b, ok := p.beacon.Result(); ok && (b.Statement.RTTBeaconMinNS < truthNS || b.Statement.RTTCoreMinNS < truthNS) {
		t.Fatalf("statement says %d and %d ns, the truth is %d", b.Statement.RTTBeaconMinNS, b.Statement.RTTCoreMinNS, truthNS)
	}
}

// mustHaveRefused fails unless the beacon refused at least one packet for the reason.
func mustHaveRefused(t *testing.T, got []error, want error) {
	t.Helper()
	for _, err := range got {
		if errors.Is(err, want) {
			return
		}
	}
	t.Fatalf("no packet was refused for %q; refused: %v", want, got)
}

// inject lets an accomplice who stands a microsecond from the beacon answer each challenge with what forge makes of it.
func inject(p *pair, forge func(ch Packet) []Packet) {
	p.packet = func(toCore bool, packet Packet) []arriving {
		if toCore && packet.Kind() == CH {
			for _, f := range forge(packet) {
				p.after(time.Microsecond, func() { p.deliver(false, f) })
			}
		}
		return []arriving{{p: packet}}
	}
}

// TestMafiaFraud: a relay stands between and forwards everything. It cannot forward faster than the packets travel.
func TestMafiaFraud(t *testing.T) {
	p := newPair(t)
	p.packet = func(_ bool, packet Packet) []arriving { return []arriving{{p: packet, delay: 3 * time.Millisecond}} }
	p.run()
	p.bothDone()
	mustNotShorten(t, p)
	if got := p.beacon.result.Statement.RTTBeaconMinNS; got != truthNS+6e6 {
		t.Errorf("relayed round trip %d ns, want %d", got, truthNS+6e6)
	}
}

// TestRelayThroughTwoChannels: the relay ends TLS on both sides. The two channels have two exporter values, and the core signed
// the other.
func TestRelayThroughTwoChannels(t *testing.T) {
	p := newPair(t)
	p.coreCfg.Binding = [32]byte{9}
	p.run()
	refusedFor(t, p.errB, ErrBinding)
	refusedFor(t, p.errC, ErrBinding)
	if errors.Is(p.errB, ErrRefused) || !errors.Is(p.errC, ErrRefused) {
		t.Error("the core noticed before the beacon did")
	}
}

// TestExporterMismatch: even if both sides could be made to sign one value, a channel key that differs makes all MACs differ.
func TestExporterMismatch(t *testing.T) {
	p := newPair(t)
	p.coreCfg.ChannelKey = [32]byte{9}
	p.run()
	refusedFor(t, p.errB, ErrTooFewRounds)
	mustHaveRefused(t, p.refusedC, ErrMAC)
}

// TestAcceptForAnotherChannel: a beacon's acceptance that names another channel is refused by the core.
func TestAcceptForAnotherChannel(t *testing.T) {
	p := newPair(t)
	p.message = func(toCore bool, msg []byte) []byte {
		return resign(t, p.world.Beacons[0], msg, KindAccept, identity.TypeAccept, func(a *acceptBody) { a.Binding = [32]byte{9} })
	}
	p.run()
	refusedFor(t, p.errC, ErrBinding)
}

// TestTLSFrontEnd: the core's TLS ends near the beacon. Whoever ends it knows the channel and reads every message, but not the secret
// encapsulated to the core's own key.
func TestTLSFrontEnd(t *testing.T) {
	p := newPair(t)
	p.make()
	inject(p, func(ch Packet) []Packet {
		var forged []Packet
		for _, secret := range [][]byte{make([]byte, 32), p.beaconCfg.ChannelKey[:], p.core.accept.Ciphertext[:32]} {
			schedule := p.schedule()
			schedule.KEMSecret = secret
			keys, err := schedule.derive()
			if err != nil {
				t.Fatal(err)
			}
			forged = append(forged, answerTo(ch, newMACs(keys, p.beacon.session), *ch.value(), p.core.answerer.values[ch.Index()]))
		}
		return forged
	})
	p.run()
	p.bothDone()
	mustNotShorten(t, p)
	mustHaveRefused(t, p.refusedB, ErrMAC)
}

// schedule is what the session's keys are made of, as the core knows it.
func (p *pair) schedule() *KeySchedule {
	p.t.Helper()
	secret, err := p.coreCfg.TimedKey.Decapsulate(p.core.accept.Ciphertext)
	if err != nil && p.core.accept.Ciphertext != nil {
		p.t.Fatal(err)
	}
	return &KeySchedule{
		KEMSecret: secret, ChannelKey: p.beaconCfg.ChannelKey, NonceCore: p.core.nonce, NonceBeacon: p.beacon.nonce,
		Core: p.coreKey.ID(), Beacon: p.world.Beacons[0].ID(), Session: p.beacon.session,
		Init: p.beacon.digests.init, Accept: p.beacon.digests.accept,
	}
}

// answerTo is RS for a challenge, computed by whoever holds the keys, as if its value were ch.
func answerTo(packet Packet, m macs, ch, d [16]byte) Packet {
	var rs Packet
	rs.head(RS, packet.Session(), packet.Index())
	*rs.value() = d
	m.rs.put(&rs, packet.Index(), &ch, &d)
	return rs
}

// TestDistanceFraud: the core itself is dishonest and far away. It has all its keys and sends its answers so early that they
// arrive just after the challenge has left, guessing the challenge. Predictable challenges would let it.
func TestDistanceFraud(t *testing.T) {
	p := newPair(t)
	p.make()
	var previous [16]byte
	inject(p, func(ch Packet) []Packet {
		m := p.core.answerer.mac
		d := p.core.answerer.values[ch.Index()]
		guesses := [][16]byte{{}, previous, Seed{}.Value(ch.Session(), ch.Index()), Seed(p.beacon.seed.Commit(p.world.Beacons[0].ID())).Value(ch.Session(), ch.Index()), d}
		previous = *ch.value()
		var forged []Packet
		for _, g := range guesses {
			forged = append(forged, answerTo(ch, m, g, d))
		}
		return forged
	})
	p.run()
	p.bothDone()
	mustNotShorten(t, p)
	mustHaveRefused(t, p.refusedB, ErrMAC)
}

// TestEarlyAnswer: an answer that arrives before its challenge has left has no interval, however well it is made.
func TestEarlyAnswer(t *testing.T) {
	p := newPair(t)
	p.make()
	p.packet = func(toCore bool, packet Packet) []arriving {
		if !toCore { // on sending RS i, the core also sends RS i+1 and RS i+2 ahead of their challenges
			for ahead := uint16(1); ahead <= 2; ahead++ {
				i := packet.Index() + ahead
				var next Packet
				next.head(CH, packet.Session(), i)
				early := answerTo(next, p.core.answerer.mac, p.beacon.seed.Value(p.beacon.session, i), p.core.answerer.values[i])
				p.after(p.oneWay+time.Microsecond, func() { p.deliver(false, early) })
			}
		}
		return []arriving{{p: packet}}
	}
	p.run()
	p.bothDone()
	mustNotShorten(t, p)
	mustHaveRefused(t, p.refusedB, ErrNoChallenge)
}

// TestEchoWithoutMAC: an accomplice near the beacon echoes the nonce and cannot make the MAC.
func TestEchoWithoutMAC(t *testing.T) {
	p := newPair(t)
	inject(p, func(ch Packet) []Packet {
		echo := ch
		echo[offKind] = RS
		blank := echo
		clear(blank[offTag : offTag+tagSize])
		return []Packet{echo, blank}
	})
	p.run()
	p.bothDone()
	mustNotShorten(t, p)
	mustHaveRefused(t, p.refusedB, ErrMAC)
}

// TestReplayedRound: the accomplice holds answers of earlier rounds and plays them to later challenges.
func TestReplayedRound(t *testing.T) {
	p := newPair(t)
	var heard []Packet
	inject(p, func(ch Packet) []Packet {
		var forged []Packet
		for _, rs := range heard {
			renamed := rs
			renamed[offIndex], renamed[offIndex+1] = ch[offIndex], ch[offIndex+1]
			forged = append(forged, rs, renamed)
		}
		return forged
	})
	injecting := p.packet
	p.packet = func(toCore bool, packet Packet) []arriving {
		if !toCore {
			heard = append(heard, packet)
		}
		return injecting(toCore, packet)
	}
	p.run()
	p.bothDone()
	mustNotShorten(t, p)
	mustHaveRefused(t, p.refusedB, ErrWrongRound)
	mustHaveRefused(t, p.refusedB, ErrMAC)
}

// TestAnsweredTwice: a second copy of an answer finds no challenge outstanding; a second copy of a challenge is not answered.
func TestAnsweredTwice(t *testing.T) {
	p := newPair(t)
	answers := map[uint16]int{}
	p.packet = func(toCore bool, packet Packet) []arriving {
		if !toCore {
			answers[packet.Index()]++
		}
		return []arriving{{p: packet}, {p: packet, delay: time.Microsecond}}
	}
	p.run()
	p.bothDone()
	mustHaveRefused(t, p.refusedB, ErrNoChallenge)
	mustHaveRefused(t, p.refusedC, ErrAnswered)
	for i, n := range answers {
		if n != 1 {
			t.Errorf("round %d was answered %d times", i, n)
		}
	}
}

// TestReplayedSession: an opening and all its answers are recorded and played to a beacon that opens a new session.
func TestReplayedSession(t *testing.T) {
	old := newPair(t)
	var initMsg []byte
	var answers []Packet
	old.message = func(toCore bool, msg []byte) []byte {
		if !toCore && Kind(msg[0]) == KindInit {
			initMsg = msg
		}
		return msg
	}
	old.packet = func(toCore bool, packet Packet) []arriving {
		if !toCore {
			answers = append(answers, packet)
		}
		return []arriving{{p: packet}}
	}
	old.run()
	old.bothDone()

	fresh := newPair(t)
	fresh.beaconCfg.Binding = [32]byte{7} // a new channel has a new exporter value
	fresh.make()
	_, err := fresh.beacon.Step(0, GotMessage(initMsg))
	refusedFor(t, err, ErrBinding)

	same := newPair(t) // even on the same channel, the beacon's nonce and session are new
	same.beaconCfg.Random = exchangetest.NewRandom(3)
	same.make()
	if _, err := same.beacon.Step(0, GotMessage(initMsg)); err != nil {
		t.Fatal(err)
	}
	ready, _, _ := encode(KindReady, readyBody{Session: same.beacon.session})
	if _, err := same.beacon.Step(0, GotMessage(ready)); err != nil {
		t.Fatal(err)
	}
	for _, rs := range answers {
		out, err := same.beacon.Step(0, GotPacket(&rs))
		if err != nil || !errors.Is(out.Refused, ErrSession) {
			t.Fatalf("answer of an old session: %v, %v", out.Refused, err)
		}
	}
}

// TestSpliceAcrossBeacons: an opening for one beacon is handed to another.
func TestSpliceAcrossBeacons(t *testing.T) {
	p := newPair(t)
	p.beaconCfg.Key = p.world.Beacons[1]
	p.run()
	refusedFor(t, p.errB, ErrWrongBeacon)
}

// TestDistanceHijacking: an honest core stands near the beacon and answers in its own session; a far one claims those answers.
func TestDistanceHijacking(t *testing.T) {
	far, near := newPair(t), newPair(t)
	near.coreKey = exchangetest.Key(t, identity.RoleCore, "near core")
	near.challenge = near.world.Challenge(t, near.coreKey.ID(), nil)
	near.coreCfg.Key, near.coreCfg.Challenge, near.coreCfg.Asked = near.coreKey, near.challenge, near.world.Asked(t, near.challenge)
	near.beaconCfg.Random, near.coreCfg.Random = exchangetest.NewRandom(5), exchangetest.NewRandom(6)
	near.run()
	near.bothDone()

	far.make()
	inject(far, func(ch Packet) []Packet {
		// The near core is asked with the far one's challenge, under either session's name.
		renamed := ch
		copy(renamed[offSession:], near.beacon.session[:])
		for _, asked := range []Packet{ch, renamed} {
			if _, err := near.core.answerer.answer(&asked); err == nil {
				t.Error("an honest core answered a challenge of a session that is not its own")
			}
		}
		// What it would say is what its keys say.
		own := answerTo(renamed, near.core.answerer.mac, *ch.value(), near.core.answerer.values[ch.Index()])
		claimed := own
		copy(claimed[offSession:], ch[offSession:offSession+16])
		return []Packet{own, claimed}
	})
	far.run()
	far.bothDone()
	mustNotShorten(t, far)
	mustHaveRefused(t, far.refusedB, ErrSession)
	mustHaveRefused(t, far.refusedB, ErrMAC)
}

// TestSpliceAcrossCores: a core opens with a challenge that the gate gave to another.
func TestSpliceAcrossCores(t *testing.T) {
	p := newPair(t)
	p.make()
	other := p.world.Challenge(t, exchangetest.Key(t, identity.RoleCore, "near core").ID(), nil)
	p.message = func(toCore bool, msg []byte) []byte {
		if toCore {
			return msg
		}
		return resign(t, p.coreKey, msg, KindInit, identity.TypeInit, func(b *initBody) { b.Challenge = other })
	}
	p.run()
	refusedFor(t, p.errB, ErrOtherCore)
}

// TestTerroristFraud: a far core helps an accomplice near the beacon without giving its keys away: it hands out answers it
// computed beforehand. They are for challenges it guessed, because the real ones do not exist for it yet. (A core that gives
// away its keys is not far: what is located is the key. That the key cannot be given away is what attestation is for.)
func TestTerroristFraud(t *testing.T) {
	p := newPair(t)
	p.make()
	tables := map[uint16][]Packet{}
	inject(p, func(ch Packet) []Packet {
		i := ch.Index()
		if tables[i] == nil {
			random := exchangetest.NewRandom(uint64(i))
			for range 256 {
				var guess [16]byte
				_, _ = random.Read(guess[:])
				tables[i] = append(tables[i], answerTo(ch, p.core.answerer.mac, guess, p.core.answerer.values[i]))
			}
		}
		return tables[i]
	})
	p.run()
	p.bothDone()
	mustNotShorten(t, p)
}

// TestNothingOpensEarly: before the rounds are over, the beacon sends nothing from which a challenge that is not yet due could be
// computed: neither seed nor salt, and no value of a later round.
func TestNothingOpensEarly(t *testing.T) {
	p := newPair(t)
	p.run()
	p.bothDone()
	result := len(p.sent) - 1
	for ; p.sent[result].packet || Kind(p.sent[result].bytes[0]) != KindResult; result-- {
	}
	next := uint16(0)
	for _, thing := range p.sent[:result] {
		b := thing.bytes
		if bytes.Contains(b, p.beacon.seed[:]) || bytes.Contains(b, p.beacon.salt[:]) {
			t.Fatalf("seed or salt sent before the result, in a message of kind %d", b[0])
		}
		if thing.packet && b[0] == CH {
			next = (*Packet)(b).Index() + 1
		}
		for i := next; i < MaxRoundsEver; i++ {
			ch := p.beacon.seed.Value(p.beacon.session, i)
			if bytes.Contains(b, ch[:]) {
				t.Fatalf("value of round %d sent before its challenge", i)
			}
		}
	}
}

// TestChosenChallenge: a beacon that sends challenges other than its committed seed's, to suit an accomplice, gets no
// countersignature.
func TestChosenChallenge(t *testing.T) {
	p := newPair(t)
	p.make()
	p.message = func(toCore bool, msg []byte) []byte {
		if !toCore && Kind(msg[0]) == KindReady {
			b := p.beacon
			keys, err := p.schedule().derive()
			if err != nil {
				t.Fatal(err)
			}
			b.caller = newCaller(b.limits, b.session, Seed{42}, keys, 1)
		}
		return msg
	}
	p.run()
	refusedFor(t, p.errC, ErrSeed)
}

// TestChosenAnswer: a core whose own challenges d_i do not come from the seed that it committed to gets no statement.
func TestChosenAnswer(t *testing.T) {
	p := newPair(t)
	p.make()
	p.message = func(toCore bool, msg []byte) []byte {
		if toCore && Kind(msg[0]) == KindAccept {
			p.after(p.oneWay+1, func() { p.core.answerer.values[3] = [16]byte{42} })
		}
		return msg
	}
	p.run()
	refusedFor(t, p.errB, ErrSeed)
}

// TestClaimedProcessingTime: there is no place in which a core could say how long it took: padding must be zero, unknown keys
// are refused.
func TestClaimedProcessingTime(t *testing.T) {
	p := newPair(t)
	inject(p, func(ch Packet) []Packet { return nil })
	honest := p.packet
	p.packet = func(toCore bool, packet Packet) []arriving {
		if !toCore {
			claim := packet
			claim[offPadding] = 0x10
			p.after(p.oneWay-1, func() { p.deliver(false, claim) })
		}
		return honest(toCore, packet)
	}
	p.run()
	p.bothDone()
	mustHaveRefused(t, p.refusedB, ErrPacketPadding)

	p = newPair(t)
	p.message = func(toCore bool, msg []byte) []byte {
		if toCore || Kind(msg[0]) != KindTimes {
			return msg
		}
		type withClaim struct {
			timesBody
			Processing int64 `cbor:"9,keyasint"`
		}
		var env identity.Envelope
		var honest timesBody
		mustDecode(t, KindTimes, msg[HeadSize:], &env)
		mustDecode(t, KindTimes, env.Payload, &honest)
		out, _, err := sealed(p.coreKey, KindTimes, identity.TypeTimes, withClaim{timesBody: honest, Processing: 19e6})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	p.run()
	refusedFor(t, p.errB, ErrMalformed)
}

func mustDecode(t testing.TB, k Kind, body []byte, v any) {
	t.Helper()
	if err := decode(k, body, v); err != nil {
		t.Fatal(err)
	}
}

// resign lets the holder of a key change what he signs: messages of other kinds pass.
func resign[B any](t testing.TB, key *identity.Private, msg []byte, k Kind, typ identity.ObjectType, edit func(*B)) []byte {
	t.Helper()
	if Kind(msg[0]) != k {
		return msg
	}
	var env identity.Envelope
	var body B
	mustDecode(t, k, msg[HeadSize:], &env)
	mustDecode(t, k, env.Payload, &body)
	edit(&body)
	out, _, err := sealed(key, k, typ, body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// coreResultText stands for the core's attestation result: an exchange names its hash.
const coreResultText = "core result"

// fact verifies the statement of an exchange as a gate does.
func fact(t testing.TB, p *pair) statement.Fact {
	t.Helper()
	_, c := p.bothDone()
	envelope, err := identity.DecodeEnvelope(p.challenge, statement.MaxChallengeSize)
	if err != nil {
		t.Fatal(err)
	}
	proof, _, err := statement.Proof{TimedKey: p.coreCfg.TimedKey.Public(), Challenge: envelope, Statements: []identity.Envelope{c.Signed}, Results: [][]byte{[]byte(coreResultText), c.BeaconResult},
		PreviousProof: p.coreCfg.Previous, MadeUnixNS: epochNS}.Seal(p.coreKey)
	if err != nil {
		t.Fatal(err)
	}
	x, err := statement.Expecting(proof, p.world.Directory, epochNS)
	if err != nil {
		t.Fatal(err)
	}
	v, err := statement.VerifyProof(proof, x)
	if err != nil {
		t.Fatal(err)
	}
	return v.Facts[0]
}
