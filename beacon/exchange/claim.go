package exchange

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// mismatchTolerance is how far the two directions' minima may differ before the statement says so: more than two idle wake-ups
// and a scheduler's tick, less than what would move a border (1 ms is 150 km).
const mismatchTolerance = time.Millisecond

// view is what both sides know about an exchange when the statement is made. Both fill it from their own records, so that comparing
// the beacon's statement with the core's view compares everything.
type view struct {
	beacon      directory.Beacon
	core        identity.ID
	timed       identity.TimedKeyID
	asked       statement.Asked
	binding     [32]byte
	init        *initBody
	digests     *digests
	session     Session
	sent        uint16
	rounds      []Round // the beacon's
	times       []Round // the core's
	values      func(index uint16) (ch, d [16]byte)
	path        PathKind
	attestation [32]byte // hash of the beacon's result
}

// statement fills in everything that both sides know.
func (v *view) statement() statement.Statement {
	beacon, core := summarise(v.rounds), summarise(v.times)
	coreNS := core.min + v.init.quality().Cost(core.min) // the core's own clock error is in it, so nobody else need know it
	challenge := v.asked.Challenge()
	return statement.Statement{
		Version: statement.Version, Kind: statement.KindExchange, Suite: identity.Suite,
		Flags:  v.flags(beacon.min, coreNS),
		Beacon: v.beacon.ID(), Core: v.core, ChallengeHash: v.asked.Hash(), SessionID: v.session,
		ExporterHash: statement.HashExporter(v.binding[:]), TranscriptHash: v.transcript(), PreviousProof: v.init.Previous,
		PositionMM: v.beacon.Position, PosUncMM: v.beacon.PosUncMM, DirectoryEpoch: challenge.DirectoryEpoch, Domains: v.beacon.Domains,
		RoundsSent: uint64(v.sent), RoundsOK: uint64(len(v.rounds)),
		RTTBeaconMinNS: beacon.min, RTTCoreMinNS: coreNS,
		RTTBeaconP10NS: beacon.p10, RTTBeaconP50NS: beacon.p50, RTTBeaconP90NS: beacon.p90,
		PayloadLen: PacketSize, BeaconResult: v.attestation, CoreResult: statement.HashResult(v.init.Attestation),
		TimedKey: v.timed,
	}
}

func (v *view) flags(beaconNS, coreNS int64) statement.Flags {
	var f statement.Flags
	if d := beaconNS - coreNS; d > int64(mismatchTolerance) || -d > int64(mismatchTolerance) {
		f |= statement.FlagDirectionMismatch
	}
	if v.path == PathDatagram {
		f |= statement.FlagDatagram
	}
	switch v.init.Mode {
	case ModeHeld:
		f |= statement.FlagCoreHeld
	case ModeSpinning:
		f |= statement.FlagCoreSpinning
	}
	return f
}

// transcript hashes the four messages before the statement and the values of every round that counts.
func (v *view) transcript() [32]byte {
	values := make([]byte, 0, len(v.rounds)*34)
	for _, r := range v.rounds {
		ch, d := v.values(r.Index)
		values = binary.BigEndian.AppendUint16(values, r.Index)
		values = append(append(values, ch[:]...), d[:]...)
	}
	g := v.digests
	return statement.HashTranscript(g.init[:], g.accept[:], g.stop[:], g.times[:], values)
}

// ownFlags are those that only the beacon can know.
const ownFlags = statement.FlagPathChanged | statement.FlagClockAttested | statement.FlagKernelStamps

// claim is the statement that the beacon signs.
func (b *Beacon) claim() statement.Statement {
	v := view{
		beacon: b.self, core: b.core.ID(), timed: b.located.ID(), asked: b.asked, binding: b.cfg.Binding, init: &b.init, digests: &b.digests,
		session: b.session, sent: b.caller.sent, rounds: b.caller.rounds[:b.caller.valid], times: b.times,
		values: func(i uint16) (ch, d [16]byte) { return b.seed.Value(b.session, i), b.caller.answers[i] },
		path:   b.path, attestation: statement.HashResult(b.cfg.Attestation),
	}
	s := v.statement()
	if b.cfg.PathChanged != nil && b.cfg.PathChanged() {
		s.Flags |= statement.FlagPathChanged
	}
	if b.cfg.ClockAttested {
		s.Flags |= statement.FlagClockAttested
	}
	if b.caller.kernel == b.caller.valid {
		s.Flags |= statement.FlagKernelStamps
	}
	s.StartUnixNS, s.EndUnixNS = b.caller.startNS, max(b.caller.startNS, b.caller.endNS)
	s.NotAfterUnixNS = s.EndUnixNS + int64(b.cfg.Validity)
	s.TimerGranularityNS, s.TimerErrorPPB = b.cfg.Quality.GranularityNS, uint64(b.cfg.Quality.ErrPPB)
	return s
}

// checkStatement verifies the beacon's statement against directory and challenge, compares it with the core's own view, and
// countersigns. What only the beacon can know (its clock, its own flags) is taken over from the claim; all else must be equal
// to the last bit.
func (c *Core) checkStatement(r resultBody, rounds []Round) (conclusion, error) {
	fail := func(err error) (conclusion, error) { return conclusion{}, err }
	env, err := identity.DecodeEnvelope(r.Statement, maxBody[KindResult])
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrStatement, err))
	}
	claim, err := statement.Decode(env.Payload)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrStatement, err))
	}
	want := c.view(rounds).statement()
	want.Flags |= claim.Flags & ownFlags
	want.StartUnixNS, want.EndUnixNS, want.NotAfterUnixNS = claim.StartUnixNS, claim.EndUnixNS, claim.NotAfterUnixNS
	want.TimerGranularityNS, want.TimerErrorPPB = claim.TimerGranularityNS, claim.TimerErrorPPB
	expected, err := want.Encode()
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrStatement, err))
	}
	if !bytes.Equal(expected, env.Payload) {
		return fail(fmt.Errorf("%w: it differs from what the core saw", ErrStatement))
	}
	if statement.HashResult(r.Attestation) != want.BeaconResult {
		return fail(fmt.Errorf("%w: attestation result is not the one that it names", ErrStatement))
	}
	signature, err := statement.Countersign(c.cfg.Key, env, statement.Context{
		Directory: c.cfg.Directory, Asked: c.cfg.Asked, PreviousProof: c.cfg.Previous, NowUnixNS: c.cfg.UnixNS, Roots: c.cfg.Roots,
	}, statement.Agreed{
		SessionID: want.SessionID, ExporterHash: want.ExporterHash, TranscriptHash: want.TranscriptHash,
		RTTCoreMinNS: want.RTTCoreMinNS, CoreResult: want.CoreResult, TimedKey: c.cfg.TimedKey.ID(),
	})
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrSignature, err))
	}
	return conclusion{signed: env, claim: claim, countersignature: signature}, nil
}

// conclusion is a beacon's statement that the core has checked and countersigned.
type conclusion struct {
	signed           identity.Envelope
	claim            statement.Statement
	countersignature []byte
}

// view is the core's.
func (c *Core) view(rounds []Round) *view {
	return &view{
		beacon: c.beacon, core: c.cfg.Key.ID(), timed: c.cfg.TimedKey.ID(), asked: c.cfg.Asked, binding: c.cfg.Binding, init: &c.init, digests: &c.digests,
		session: c.accept.Session, sent: c.stop.Sent, rounds: rounds, times: c.answerer.rounds[:c.answerer.valid],
		values: func(i uint16) (ch, d [16]byte) { return c.answerer.challenges[i], c.answerer.values[i] },
		path:   c.accept.Path, attestation: c.accept.Attestation,
	}
}
