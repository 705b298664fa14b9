package exchange

import (
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange/exchangetest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/identity"
	"pgregory.net/rapid"
)

// Five defects that a public system of this kind found after its release. Each is a test that fails where the defect is.

// editResult lets a dishonest beacon change what it sends at the end, and sign it properly.
func editResult(p *pair, edit func(r *resultBody, s *statement.Statement)) {
	p.message = func(toCore bool, msg []byte) []byte {
		if !toCore || Kind(msg[0]) != KindResult {
			return msg
		}
		var r resultBody
		mustDecode(p.t.(testing.TB), KindResult, msg[HeadSize:], &r)
		env, err := identity.DecodeEnvelope(r.Statement, 1<<17)
		if err != nil {
			p.t.Fatal(err)
		}
		s, err := statement.Decode(env.Payload)
		if err != nil {
			p.t.Fatal(err)
		}
		edit(&r, &s)
		signed, err := s.Seal(p.beaconCfg.Key)
		if err != nil {
			p.t.Fatal(err)
		}
		if r.Statement, err = signed.Encode(); err != nil {
			p.t.Fatal(err)
		}
		out, _, err := encode(KindResult, r)
		if err != nil {
			p.t.Fatal(err)
		}
		return out
	}
}

// TestForgedResults: the first defect was that forged results were accepted. Here even a result that the beacon itself signed
// is refused when the core saw otherwise.
func TestForgedResults(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(r *resultBody, s *statement.Statement)
		want error
	}{
		{"lower beacon minimum", func(_ *resultBody, s *statement.Statement) { s.RTTBeaconMinNS = 1e6 }, ErrStatement},
		{"lower core minimum", func(_ *resultBody, s *statement.Statement) { s.RTTCoreMinNS = 1e6 }, ErrStatement},
		{"more rounds", func(_ *resultBody, s *statement.Statement) { s.RoundsOK, s.RoundsSent = 20, 20 }, ErrStatement},
		{"another core", func(_ *resultBody, s *statement.Statement) { s.Core[0] ^= 1 }, ErrStatement},
		{"another challenge", func(_ *resultBody, s *statement.Statement) { s.ChallengeHash[0] ^= 1 }, ErrStatement},
		{"another channel", func(_ *resultBody, s *statement.Statement) { s.ExporterHash[0] ^= 1 }, ErrStatement},
		{"another transcript", func(_ *resultBody, s *statement.Statement) { s.TranscriptHash[0] ^= 1 }, ErrStatement},
		{"another previous proof", func(_ *resultBody, s *statement.Statement) { s.PreviousProof[0] ^= 1 }, ErrStatement},
		{"another position", func(_ *resultBody, s *statement.Statement) { s.PositionMM[0] += 1000 }, ErrStatement},
		{"other domains", func(_ *resultBody, s *statement.Statement) { s.Domains = []string{"elsewhere"} }, ErrStatement},
		{"mismatch kept quiet", func(_ *resultBody, s *statement.Statement) { s.Flags |= statement.FlagDirectionMismatch }, ErrStatement},
		{"spinning that was not", func(_ *resultBody, s *statement.Statement) { s.Flags |= statement.FlagCoreSpinning }, ErrStatement},
		{"expired already", func(_ *resultBody, s *statement.Statement) {
			s.StartUnixNS -= int64(time.Hour)
			s.EndUnixNS = s.StartUnixNS
			s.NotAfterUnixNS = s.EndUnixNS + 1
		}, ErrSignature},
		{"times other than committed", func(r *resultBody, _ *statement.Statement) { r.Rounds[2].NS = 1e6 }, ErrTimesOpened},
		{"salt other than committed", func(r *resultBody, _ *statement.Statement) { r.Salt[0] ^= 1 }, ErrTimesOpened},
		{"seed other than committed", func(r *resultBody, _ *statement.Statement) { r.Seed[0] ^= 1 }, ErrSeed},
		{"another attestation result", func(r *resultBody, _ *statement.Statement) { r.Attestation = []byte("better result") }, ErrStatement},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			editResult(p, c.edit)
			p.run()
			refusedFor(t, p.errC, c.want)
		})
	}
}

// TestReplayedOrWrongSlotResults: the second defect. A result of another session, and rounds in the slots of others, are refused.
func TestReplayedOrWrongSlotResults(t *testing.T) {
	var old []byte
	first := newPair(t)
	first.message = func(toCore bool, msg []byte) []byte {
		if toCore && Kind(msg[0]) == KindResult {
			old = msg
		}
		return msg
	}
	first.run()
	first.bothDone()

	second := newPair(t)
	second.beaconCfg.Random, second.coreCfg.Random = exchangetest.NewRandom(7), exchangetest.NewRandom(8)
	second.message = func(toCore bool, msg []byte) []byte {
		if toCore && Kind(msg[0]) == KindResult {
			return old
		}
		return msg
	}
	second.run()
	refusedFor(t, second.errC, ErrTimesOpened)

	swapped := newPair(t)
	swapped.make()
	swapped.message = func(toCore bool, msg []byte) []byte {
		if toCore && Kind(msg[0]) == KindStop { // the beacon files round 3's time under 4 and commits to that
			b := swapped.beacon
			b.rounds[3].Index, b.rounds[4].Index = 4, 3
			commit, err := commitTimes(b.session, b.salt, b.rounds)
			if err != nil {
				t.Fatal(err)
			}
			out, digest, err := encode(KindStop, stopBody{Session: b.session, Sent: b.caller.sent, TimesCommit: commit})
			if err != nil {
				t.Fatal(err)
			}
			b.digests.stop = digest
			return out
		}
		return msg
	}
	swapped.run()
	refusedFor(t, swapped.errC, ErrRounds)
}

// TestUnverifiedPacketsChangeNothing: the third defect. Whatever is thrown at both sides, the exchange ends as if nothing had been.
func TestUnverifiedPacketsChangeNothing(t *testing.T) {
	quiet := newPair(t)
	quiet.run()
	want, _ := quiet.bothDone()
	rapid.Check(t, func(t *rapid.T) {
		p := newPair(t)
		p.make()
		p.packet = func(toCore bool, honest Packet) []arriving {
			for range rapid.IntRange(0, 3).Draw(t, "forged") {
				forged := honest
				if rapid.Bool().Draw(t, "fresh") {
					forged.head([]byte{CH, RS, FN}[rapid.IntRange(0, 2).Draw(t, "kind")], p.beacon.session, uint16(rapid.IntRange(0, 70).Draw(t, "index")))
				} else {
					forged[rapid.IntRange(0, PacketSize-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
				}
				at := time.Duration(rapid.Int64Range(0, int64(3*p.oneWay)).Draw(t, "at"))
				toBeacon := rapid.Bool().Draw(t, "to beacon")
				p.after(at, func() { p.deliver(!toBeacon, forged) })
			}
			return []arriving{{p: honest}}
		}
		p.run()
		got, _ := p.bothDone()
		if got.Statement.RoundsSent != want.Statement.RoundsSent || got.Statement.RoundsOK != want.Statement.RoundsOK ||
			got.Statement.RTTBeaconMinNS != want.Statement.RTTBeaconMinNS || got.Statement.RTTCoreMinNS != want.Statement.RTTCoreMinNS {
			t.Fatalf("forged packets changed the outcome: %+v, without them %+v", got.Statement, want.Statement)
		}
	})
}

// TestEmptyResultIsNotASkippedOne: the fourth defect. No rounds are not "nothing to check".
func TestEmptyResultIsNotASkippedOne(t *testing.T) {
	p := newPair(t)
	p.message = func(toCore bool, msg []byte) []byte {
		return resign(t, p.coreKey, msg, KindTimes, identity.TypeTimes, func(b *timesBody) { b.Rounds = nil })
	}
	p.run()
	refusedFor(t, p.errB, ErrTooFewRounds)

	p = newPair(t)
	p.make()
	p.message = func(toCore bool, msg []byte) []byte {
		if toCore && Kind(msg[0]) == KindStop {
			b := p.beacon
			b.rounds = []roundWire{}
			commit, err := commitTimes(b.session, b.salt, b.rounds)
			if err != nil {
				t.Fatal(err)
			}
			out, digest, err := encode(KindStop, stopBody{Session: b.session, Sent: b.caller.sent, TimesCommit: commit})
			if err != nil {
				t.Fatal(err)
			}
			b.digests.stop = digest
			return out
		}
		return msg
	}
	p.run()
	refusedFor(t, p.errC, ErrTooFewRounds)

	p = newPair(t)
	p.packet = func(toCore bool, packet Packet) []arriving { return nil } // no round passes at all
	p.run()
	refusedFor(t, p.errB, ErrTooFewRounds)
	if _, ok := p.beacon.Result(); ok {
		t.Error("a statement about no rounds")
	}
}

// The fifth defect, a source address that nobody checked, is in package timing: TestSourceAddressIsChecked.
