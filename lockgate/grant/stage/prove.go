package stage

import (
	"time"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Speed of signals on the way, as a share of light: a good fibre network.
const Speed = 0.55

// RTT is the round trip between two places on this network, with 60 µs for the
// hosts at both ends.
func RTT(a, b earth.LatLon) earth.RTT {
	d := float64(earth.Chord(a.ECEF(100), b.ECEF(100)))
	return earth.RTT(2*d/(Speed*299_792_458)*1e9) + 60_000
}

// Ask makes a core's lock issue a nonce and composes the question for a
// challenge.
func Ask(c *Core, entropy [32]byte) (grant.Question, error) {
	next, _, err := c.Lock.Step(lock.Ask{Entropy: entropy})
	if err != nil {
		return grant.Question{}, err
	}
	c.Lock = next
	n, _ := next.Outstanding()
	return grant.Question{Core: c.Key.ID(), Claim: c.At, LockNonce: n, LockSeq: next.Usage().Seq}, nil
}

// Change alters a statement before its beacon signs it.
type Change func(place string, st *statement.Statement)

// Draft is an answer to a challenge before anybody has signed it.
type Draft struct {
	core       *Core
	challenge  identity.Envelope
	madeUnixNS int64
	Statements []statement.Statement
}

// Draft writes down what the beacons of a challenge's committee would say of a
// core where it truly is, at an instant.
func (s *Stage) Draft(c *Core, challenge []byte, at time.Time, changes ...Change) (*Draft, error) {
	env, err := identity.DecodeEnvelope(challenge, statement.MaxChallengeSize)
	if err != nil {
		return nil, err
	}
	now := at.UnixNano()
	asked, err := statement.VerifyChallenge(env, s.Directory, now)
	if err != nil {
		return nil, err
	}
	coreResult, err := s.Result(c.Key.ID(), c.Chip)
	if err != nil {
		return nil, err
	}
	d := &Draft{core: c, challenge: env, madeUnixNS: now}
	for i, id := range asked.Challenge().Committee {
		b, _ := s.Directory.Lookup(id)
		result, err := s.Result(id, [32]byte(id))
		if err != nil {
			return nil, err
		}
		place, _ := b.ECEF().LatLon()
		rtt := int64(RTT(c.At, place))
		st := statement.Statement{Flags: statement.FlagKernelStamps, Beacon: id, Core: c.Key.ID(), ChallengeHash: asked.Hash(),
			SessionID: [16]byte{1, byte(i)}, ExporterHash: [32]byte{2}, TranscriptHash: [32]byte{3}, PreviousProof: c.Chain,
			PositionMM: b.Position, PosUncMM: b.PosUncMM, DirectoryEpoch: s.Directory.Epoch, Domains: b.Domains,
			StartUnixNS: now - 1000, EndUnixNS: now, RoundsSent: 32, RoundsOK: 30, RTTBeaconMinNS: rtt, RTTCoreMinNS: rtt,
			RTTBeaconP10NS: rtt, RTTBeaconP50NS: rtt + 1000, RTTBeaconP90NS: rtt + 9000, TimerGranularityNS: 50, TimerErrorPPB: 1000,
			PayloadLen: 64, BeaconResult: statement.HashResult(result), CoreResult: statement.HashResult(coreResult), TimedKey: c.Timed.ID(),
			NotAfterUnixNS: now + int64(time.Minute)}
		for _, ch := range changes {
			ch(b.Place, &st)
		}
		d.Statements = append(d.Statements, st)
	}
	return d, nil
}

// Sign has each beacon sign its statement by itself.
func (s *Stage) Sign(d *Draft) ([]identity.Envelope, error) {
	out := make([]identity.Envelope, len(d.Statements))
	for i, st := range d.Statements {
		var err error
		if out[i], err = st.Seal(s.Beacons[st.Beacon]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SignTogether has each beacon sign its statements of many drafts under the root
// of one tree, as a busy beacon does with those of the same moment.
func (s *Stage) SignTogether(drafts []*Draft) ([][]identity.Envelope, error) {
	type at struct{ draft, index int }
	payloads, places := map[identity.ID][][]byte{}, map[identity.ID][]at{}
	out := make([][]identity.Envelope, len(drafts))
	for i, d := range drafts {
		out[i] = make([]identity.Envelope, len(d.Statements))
		for j, st := range d.Statements {
			b, err := st.Encode()
			if err != nil {
				return nil, err
			}
			payloads[st.Beacon], places[st.Beacon] = append(payloads[st.Beacon], b), append(places[st.Beacon], at{i, j})
		}
	}
	for id, list := range payloads {
		signed, err := identity.SealBatch(s.Beacons[id], identity.TypeStatement, list)
		if err != nil {
			return nil, err
		}
		for n, p := range places[id] {
			out[p.draft][p.index] = signed[n]
		}
	}
	return out, nil
}

// Assemble is the core's part: it seals what the beacons signed as a proof.
func (s *Stage) Assemble(d *Draft, signed []identity.Envelope) (proof []byte, hash [32]byte, err error) {
	c := d.core
	coreResult, err := s.Result(c.Key.ID(), c.Chip)
	if err != nil {
		return nil, hash, err
	}
	p := statement.Proof{TimedKey: c.Timed.Public(), Challenge: d.challenge, PreviousProof: c.Chain, MadeUnixNS: d.madeUnixNS, Results: [][]byte{coreResult}}
	for i, e := range signed {
		id := d.Statements[i].Beacon
		result, err := s.Result(id, [32]byte(id))
		if err != nil {
			return nil, hash, err
		}
		p.Statements = append(p.Statements, e)
		p.Results = append(p.Results, result)
	}
	return p.Seal(c.Key)
}

// Prove answers a challenge from where the core truly is.
func (s *Stage) Prove(c *Core, challenge []byte, at time.Time, changes ...Change) (proof []byte, hash [32]byte, err error) {
	d, err := s.Draft(c, challenge, at, changes...)
	if err != nil {
		return nil, hash, err
	}
	signed, err := s.Sign(d)
	if err != nil {
		return nil, hash, err
	}
	return s.Assemble(d, signed)
}

// Request composes a core's lease request for a proof.
func Request(c *Core, id [16]byte, proof []byte, want lock.Units) grant.Request {
	n, _ := c.Lock.Outstanding()
	return grant.Request{Core: c.Key.ID(), RequestID: id, LockNonce: n, LockSeq: c.Lock.Usage().Seq, Want: want, Usage: c.Lock.Usage(), Proof: proof}
}
