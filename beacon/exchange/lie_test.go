package exchange

import (
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// roundTrip is what a bound rests on before it becomes a radius: the larger direction with the beacon's clock error added.
func roundTrip(f statement.Fact) earth.RTT {
	q := stamp.Quality{GranularityNS: f.GranularityNS, ErrPPB: uint32(f.ErrPPB)}
	rtt := f.Bound(statement.TimingBoth)
	return rtt + earth.RTT(q.Cost(int64(rtt)))
}

// TestLyingClocks: one side's clock lies; the bound rests on the larger direction, so the truth stays inside, and the
// disagreement is flagged.
func TestLyingClocks(t *testing.T) {
	half := func(truth int64) int64 { return truth / 2 }
	for _, c := range []struct {
		name    string
		set     func(p *pair)
		flagged bool
	}{
		{"beacon that lies low", func(p *pair) { p.clockB.real, p.clockB.raw = half, half }, true},
		{"slewed core clock", func(p *pair) { p.clockC.real, p.clockC.raw = half, half }, true},
		{"paused beacon", func(p *pair) {
			// The machine stops for 15 ms of each 20: what is measured across a stop lacks those 15.
			stopped := func(truth int64) int64 { return truth/20e6*5e6 + min(truth%20e6, 5e6) }
			p.clockB.real, p.clockB.raw = stopped, stopped
		}, true},
		{"honest clocks", func(*pair) {}, false},
		{"core that reports long", func(p *pair) {
			p.clockC.real, p.clockC.raw = func(t int64) int64 { return 2 * t }, func(t int64) int64 { return 2 * t }
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			c.set(p)
			p.run()
			f := fact(t, p)
			if got := roundTrip(f); int64(got) < truthNS {
				t.Errorf("bound rests on %v, the truth is %d ns", got, truthNS)
			}
			if f.Flags.Has(statement.FlagDirectionMismatch) != c.flagged {
				t.Errorf("flags %v: beacon %v, core %v", f.Flags, f.RTTBeacon, f.RTTCore)
			}
		})
	}
}

// TestCoarseClocks: a clock of 4 ms reads less than the truth by up to a tick on either side; the granularity pays for it.
func TestCoarseClocks(t *testing.T) {
	tick := func(truth int64) int64 { return truth / 4e6 * 4e6 }
	for _, c := range []struct {
		name string
		side func(p *pair) *fakeClock
	}{
		{"beacon", func(p *pair) *fakeClock { return p.clockB }},
		{"core", func(p *pair) *fakeClock { return p.clockC }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			p.oneWay += 1_234_567
			clock := c.side(p)
			clock.real, clock.raw, clock.q = tick, tick, stamp.Quality{GranularityNS: 4e6, ErrPPB: 1}
			p.run()
			f := fact(t, p)
			if truth := 2 * earth.RTT(p.oneWay); roundTrip(f) < truth {
				t.Errorf("bound rests on %v, the truth is %v", roundTrip(f), truth)
			}
			if c.name == "beacon" && f.GranularityNS != 4e6 {
				t.Errorf("statement hides the granularity: %d ns", f.GranularityNS)
			}
		})
	}
}

// TestUnstableClocks: real time that is slewed or stepped against raw time cannot shorten a round, or the round does not count.
func TestUnstableClocks(t *testing.T) {
	slow := func(ppm int64) func(int64) int64 {
		return func(truth int64) int64 { return truth - truth/1_000_000*ppm }
	}
	t.Run("slewed by 400 ppm", func(t *testing.T) {
		p := newPair(t)
		p.clockB.real = slow(400)
		p.run()
		if f := fact(t, p); int64(f.RTTBeacon) < truthNS {
			t.Errorf("beacon's minimum %v, the truth is %d ns", f.RTTBeacon, truthNS)
		}
	})
	t.Run("slewed by 10 percent", func(t *testing.T) {
		p := newPair(t)
		p.clockB.real = slow(100_000)
		p.run()
		refusedFor(t, p.errB, ErrTooFewRounds)
	})
	t.Run("stepped back once", func(t *testing.T) {
		p := newPair(t)
		p.clockB.real = func(truth int64) int64 {
			if truth > 100e6 {
				return truth - 15e6
			}
			return truth
		}
		p.run()
		f := fact(t, p)
		if int64(f.RTTBeacon) < truthNS || f.RoundsSent != f.RoundsOK+1 {
			t.Errorf("minimum %v, %d of %d rounds; want the truth and one round dropped", f.RTTBeacon, f.RoundsOK, f.RoundsSent)
		}
	})
}

// corrupt flips one bit in one half of an envelope's signature.
func corrupt(t testing.TB, msg []byte, k Kind, at int) []byte {
	t.Helper()
	if Kind(msg[0]) != k {
		return msg
	}
	var env identity.Envelope
	mustDecode(t, k, msg[HeadSize:], &env)
	env.Signature = append([]byte(nil), env.Signature...)
	env.Signature[at] ^= 1
	out, _, err := encode(k, env)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWrongHalfOfASignature: every signature is two; one bit in either half, or halves over different bytes, refuses it.
func TestWrongHalfOfASignature(t *testing.T) {
	const edHalf, mlHalf = 10, 64 + 100
	for _, half := range []struct {
		name string
		at   int
		want error
	}{{"ed25519", edHalf, identity.ErrEd25519}, {"ml-dsa-65", mlHalf, identity.ErrMLDSA65}} {
		for _, c := range []struct {
			kind     Kind
			atBeacon bool
			want     error
		}{
			{KindInit, true, ErrInitSignature}, {KindAccept, false, ErrAcceptSignature}, {KindTimes, true, ErrTimes},
		} {
			t.Run(half.name, func(t *testing.T) {
				p := newPair(t)
				p.message = func(_ bool, msg []byte) []byte { return corrupt(t, msg, c.kind, half.at) }
				p.run()
				err := p.errC
				if c.atBeacon {
					err = p.errB
				}
				refusedFor(t, err, c.want)
				refusedFor(t, err, half.want)
			})
		}
		t.Run(half.name+"/statement", func(t *testing.T) {
			p := newPair(t)
			p.beaconCfg.Seal = func(typ identity.ObjectType, payload []byte) (identity.Envelope, error) {
				env, err := identity.Seal(p.beaconCfg.Key, typ, payload)
				if typ == identity.TypeStatement {
					env.Signature[half.at] ^= 1
				}
				return env, err
			}
			p.run()
			refusedFor(t, p.errC, ErrSignature)
			refusedFor(t, p.errC, half.want)
		})
		t.Run(half.name+"/countersignature", func(t *testing.T) {
			p := newPair(t)
			p.message = func(toCore bool, msg []byte) []byte {
				if !toCore && Kind(msg[0]) == KindCountersign {
					msg[len(msg)-identity.SignatureSize+half.at] ^= 1
				}
				return msg
			}
			p.run()
			refusedFor(t, p.errB, ErrCountersign)
			refusedFor(t, p.errB, half.want)
		})
	}
}

// publicWire is the canonical form of a public identity, here to be mixed.
type publicWire struct {
	Suite uint64        `cbor:"1,keyasint"`
	Role  identity.Role `cbor:"2,keyasint"`
	Ed    []byte        `cbor:"3,keyasint"`
	MLDSA []byte        `cbor:"4,keyasint"`
	KEM   []byte        `cbor:"5,keyasint"`
}

func wireOfKey(t testing.TB, pub identity.Public) publicWire {
	t.Helper()
	b, err := pub.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var w publicWire
	if err := canon.Unmarshal(b, &w, 1<<13); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestForgedIdentities: halves of two identities make a third, whose id nobody asked for; a small-order Ed25519 key, under
// which anything verifies, is no key; a core's key in a beacon's place is refused.
func TestForgedIdentities(t *testing.T) {
	near := wireOfKey(t, newKey(t, identity.RoleCore, "near core").Public())
	for _, c := range []struct {
		name string
		edit func(w *publicWire)
	}{
		{"Ed25519 half of another", func(w *publicWire) { w.Ed = near.Ed }},
		{"ML-DSA half of another", func(w *publicWire) { w.MLDSA = near.MLDSA }},
		{"KEM key, which cores have not", func(w *publicWire) { w.KEM = wireOfKey(t, newKey(t, identity.RoleBeacon, "a").Public()).KEM }},
		{"small-order Ed25519 key", func(w *publicWire) { w.Ed = make([]byte, 32); w.Ed[0] = 1 }},
		{"another role", func(w *publicWire) { w.Role = identity.RoleBeacon }},
		{"another suite", func(w *publicWire) { w.Suite = 2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			p.message = func(_ bool, msg []byte) []byte {
				return resign(t, p.coreKey, msg, KindInit, identity.TypeInit, func(b *initBody) {
					w := wireOfKey(t, p.coreKey.Public())
					c.edit(&w)
					forged, err := canon.Marshal(w)
					if err != nil {
						t.Fatal(err)
					}
					b.Core = forged
				})
			}
			p.run()
			refusedFor(t, p.errB, ErrCoreKey)
		})
	}
}

// TestSuiteDowngrade: there is one suite, and everything that names another is refused.
func TestSuiteDowngrade(t *testing.T) {
	for _, suite := range []byte{0, 2, 255} {
		p := newPair(t)
		p.message = func(toCore bool, msg []byte) []byte {
			return resign(t, p.coreKey, msg, KindInit, identity.TypeInit, func(b *initBody) { b.Suite = suite })
		}
		p.run()
		refusedFor(t, p.errB, ErrSuite)

		p = newPair(t)
		p.message = func(toCore bool, msg []byte) []byte {
			return resign(t, p.world.Beacons[0], msg, KindAccept, identity.TypeAccept, func(b *acceptBody) { b.Suite = suite })
		}
		p.run()
		refusedFor(t, p.errC, ErrSuite)

		var packet Packet
		packet.head(CH, Session{1}, 0)
		packet[offSuite] = suite
		var parsed Packet
		refusedFor(t, ParsePacket(&parsed, packet[:]), ErrPacketSuite)
	}
}

// TestCarriers: rounds travel as the core asks, or not at all.
func TestCarriers(t *testing.T) {
	for _, c := range []struct {
		name      string
		path      PathKind
		datagrams bool
		ask       Carrier
		want      error
		travels   PathKind
	}{
		{"packets", PathWrapped, true, CarrierPackets, nil, PathWrapped},
		{"frames", PathWrapped, true, CarrierDatagrams, nil, PathDatagram},
		{"frames where there are none", PathWrapped, false, CarrierDatagrams, ErrCarrier, 0},
		{"packets where only frames are", PathDatagram, true, CarrierPackets, ErrCarrier, 0},
		{"either, of packets", PathWrapped, true, CarrierAny, nil, PathWrapped},
		{"either, of frames", PathDatagram, true, CarrierAny, nil, PathDatagram},
		{"unknown", PathWrapped, true, 9, ErrMalformed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			p.beaconCfg.Path, p.beaconCfg.Datagrams, p.coreCfg.Carrier = c.path, c.datagrams, c.ask
			p.run()
			if c.want != nil {
				refusedFor(t, p.errB, c.want)
				return
			}
			f := fact(t, p)
			if p.beacon.Path() != c.travels || f.Flags.Has(statement.FlagDatagram) != (c.travels == PathDatagram) {
				t.Errorf("path %v, flags %v", p.beacon.Path(), f.Flags)
			}
		})
	}
}

// TestRefusedOpenings: what a beacon checks about the gate's challenge, each with its own reason.
func TestRefusedOpenings(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(p *pair)
		want  error
		inner error
	}{
		{"expired", func(p *pair) { p.beaconCfg.UnixNS += int64(6 * time.Minute) }, ErrExpired, nil},
		{"from the future", func(p *pair) { p.beaconCfg.UnixNS -= int64(5 * time.Minute) }, ErrExpired, nil},
		{"beacon not in the committee", func(p *pair) {
			c := p.world.Challenge(p.t, p.coreKey.ID(), func(c *statement.Challenge) { c.Committee = []identity.ID{p.world.Beacons[1].ID()} })
			p.message = swapChallenge(p, c)
		}, ErrNotCommittee, nil},
		{"gate unknown", func(p *pair) {
			gate := newKey(t, identity.RoleGate, "stranger")
			c := *p.world
			c.Gate = gate
			p.message = swapChallenge(p, c.Challenge(p.t, p.coreKey.ID(), nil))
		}, ErrUnknownGate, nil},
		{"more rounds than there are", func(p *pair) {
			c := p.world.Challenge(p.t, p.coreKey.ID(), func(c *statement.Challenge) { c.RoundsMin, c.RoundsMax = 65, 100 })
			p.message = swapChallenge(p, c)
		}, ErrRoundsAsked, nil},
		{"forged by somebody else", func(p *pair) {
			b := append([]byte(nil), p.challenge...)
			b[len(b)-identity.SignatureSize+200] ^= 1
			p.message = swapChallenge(p, b)
		}, ErrChallenge, identity.ErrMLDSA65},
		{"not a challenge", func(p *pair) { p.message = swapChallenge(p, []byte{0xa0}) }, ErrChallenge, nil},
		{"no room", func(p *pair) { p.beaconCfg.Admit = func(identity.ID) error { return ErrQuota } }, ErrQuota, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			c.edit(p)
			p.run()
			refusedFor(t, p.errB, c.want)
			if c.inner != nil {
				refusedFor(t, p.errB, c.inner)
			}
			if !errors.Is(p.errC, ErrRefused) || !errors.Is(p.errC, c.want) {
				t.Errorf("core was told %v, want %v", p.errC, c.want)
			}
		})
	}
}

func swapChallenge(p *pair, challenge []byte) func(bool, []byte) []byte {
	return func(_ bool, msg []byte) []byte {
		return resign(p.t.(testing.TB), p.coreKey, msg, KindInit, identity.TypeInit, func(b *initBody) { b.Challenge = challenge })
	}
}

// TestBeaconLooksAtTheCoresResult: the beacon's people say whether an appraiser vouches for the timed key, before anything is encapsulated.
func TestBeaconLooksAtTheCoresResult(t *testing.T) {
	no := errors.New("nobody vouches")
	for _, c := range []struct {
		name   string
		answer error
	}{{"vouched for", nil}, {"not vouched for", no}} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			asked := 0
			p.beaconCfg.Appraised = func(core identity.ID, timed identity.TimedKeyID, result []byte) error {
				asked++
				if core != p.coreKey.ID() || timed != p.coreCfg.TimedKey.ID() || string(result) != coreResultText {
					t.Errorf("asked about %s, %s, %q", core, timed, result)
				}
				return c.answer
			}
			p.run()
			if asked != 1 {
				t.Errorf("asked %d times", asked)
			}
			if c.answer == nil {
				p.bothDone()
				return
			}
			refusedFor(t, p.errB, ErrCoreResult)
			if !errors.Is(p.errB, no) || p.beacon.digests.accept != [32]byte{} {
				t.Error("the beacon went on:", p.errB)
			}
		})
	}
}
