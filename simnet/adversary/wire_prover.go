package adversary

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/drive"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Hasty is a core's program in an adversary's hands. It runs the honest machine and reads its secrets over its shoulder; from these
// it prepares answers to challenges that have not come, for values that it guesses, and sends them all the time, so that one may lie
// at the beacon before light could have brought the challenge and the answer back. It guesses what a careless beacon would choose:
// values from a seed of zeros, values from the seed that Accept carries in place of its commitment, and the last challenge again.
// Each answer counts as "prepared". It is a core.Prover; Prove may be called once at a time.
type Hasty struct {
	Config prober.Config // the core's; Conn, Clock, Now and Resolve must be set
	Tally  *Tally

	last prober.Outcome
}

// own is where a hasty core takes its own secrets from: it has to know its own values.
const own = Stuck(7)

// How hasty: answers for so many rounds ahead leave at each beat.
const (
	hastyBeat  = time.Millisecond
	hastyAhead = 8
)

// Prove implements core.Prover.
func (h *Hasty) Prove(ctx context.Context, challenge []byte, previous [32]byte) (proof []byte, hash [32]byte, err error) {
	envelope, err := identity.DecodeEnvelope(challenge, statement.MaxChallengeSize)
	if err != nil {
		return nil, hash, err
	}
	asked, err := statement.VerifyChallenge(envelope, h.Config.Directory, time.Now().UnixNano())
	if err != nil {
		return nil, hash, err
	}
	port, err := timing.Wrap(h.Config.Conn, h.Config.Clock)
	if err != nil {
		return nil, hash, err
	}
	defer func() { _ = port.Close() }()
	transport := &quic.Transport{Conn: port.Conn()}
	defer func() { _ = transport.Close() }()
	out := prober.Outcome{Asked: asked, TimedKey: h.Config.TimedKey.Public()}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, id := range asked.Challenge().Committee {
		all.Go(func() {
			answer, err := h.exchange(ctx, transport, port, asked, challenge, previous, id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.Failures = append(out.Failures, prober.Failure{Beacon: id, Err: err})
				return
			}
			out.Answers = append(out.Answers, answer)
		})
	}
	all.Wait()
	slices.SortFunc(out.Answers, func(a, b prober.Answer) int { return a.Beacon.ID().Compare(b.Beacon.ID()) })
	h.last = out
	if len(out.Answers) == 0 {
		return nil, hash, fmt.Errorf("%w: %v", prober.ErrNoAnswer, out.Failures)
	}
	return out.Proof(envelope, h.Config.Attestation, previous, time.Now().UnixNano()).Seal(h.Config.Key)
}

// Last is what the committee of the newest proof answered.
func (h *Hasty) Last() prober.Outcome { return h.last }

// exchange runs one beacon's exchange with the answers prepared.
func (h *Hasty) exchange(ctx context.Context, transport *quic.Transport, port *timing.WrappedPort, asked statement.Asked, challenge []byte,
	previous [32]byte, id identity.ID) (prober.Answer, error) {
	beacon, _ := h.Config.Directory.Lookup(id)
	to, err := h.Config.Resolve(ctx, beacon.Address)
	if err != nil {
		return prober.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	conn, err := transport.Dial(ctx, to, channel.ClientTLS(), channel.QUIC(-1, false))
	if err != nil {
		return prober.Answer{}, err
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	ch, err := channel.Check(conn)
	if err != nil {
		return prober.Answer{}, err
	}
	machine, err := exchange.NewCore(exchange.CoreConfig{Key: h.Config.Key, TimedKey: h.Config.TimedKey, Directory: h.Config.Directory, Beacon: id, UnixNS: time.Now().UnixNano(),
		Quality: h.Config.Clock.Quality(), Mode: exchange.ModeBlocking, Carrier: exchange.CarrierPackets, Challenge: challenge, Asked: asked,
		Previous: previous, Attestation: h.Config.Attestation, Binding: ch.Binding, ChannelKey: ch.Key, Random: own})
	if err != nil {
		return prober.Answer{}, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return prober.Answer{}, err
	}
	ears := &shoulder{Stream: stream, key: h.Config.TimedKey, schedule: exchange.KeySchedule{ChannelKey: ch.Key, Core: h.Config.Key.ID(), Beacon: id}}
	hasty := &hastyPort{Port: port, ears: ears, tally: h.Tally}
	defer hasty.running.Wait()
	if err := drive.Run(ctx, drive.Config{Machine: machine, Stream: ears, Port: hasty, Peer: to}); err != nil {
		return prober.Answer{}, err
	}
	_ = stream.Close()
	r, _ := machine.Result()
	return prober.Answer{Beacon: beacon, Signed: r.Signed, Statement: r.Statement, BeaconResult: r.BeaconResult, RTTCore: earth.RTT(r.RTTNS)}, nil
}

// shoulder is a stream on which the two opening messages are read along. What it learns is there when the first round may come.
type shoulder struct {
	drive.Stream
	key      *identity.TimedKey
	seen     bytes.Buffer // of what was read, until Accept is whole
	opened   bool
	schedule exchange.KeySchedule
	commit   exchange.Seed // what stands where the commitment to the beacon's seed belongs
}

// Write sees Init go out. The drive writes whole messages.
func (s *shoulder) Write(b []byte) (int, error) {
	if len(b) > exchange.HeadSize && exchange.Kind(b[0]) == exchange.KindInit {
		s.schedule.Init = sha256.Sum256(b[exchange.HeadSize:])
		var env identity.Envelope
		var init map[int]any
		if canon.Unmarshal(b[exchange.HeadSize:], &env, len(b)) == nil && canon.Unmarshal(env.Payload, &init, len(b)) == nil {
			s.schedule.NonceCore = bytes32(init[5])
		}
	}
	return s.Stream.Write(b)
}

// Read sees Accept come in.
func (s *shoulder) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if s.opened {
		return n, err
	}
	s.seen.Write(b[:n])
	if all := s.seen.Bytes(); len(all) >= exchange.HeadSize {
		if size := exchange.HeadSize + int(binary.BigEndian.Uint32(all[1:])); len(all) >= size {
			s.opened = true
			s.accept(all[exchange.HeadSize:size])
		}
	}
	return n, err
}

// accept takes from Accept what the session keys are made of.
func (s *shoulder) accept(body []byte) {
	s.schedule.Accept = sha256.Sum256(body)
	var env identity.Envelope
	var accept map[int]any
	if canon.Unmarshal(body, &env, len(body)) != nil || canon.Unmarshal(env.Payload, &accept, len(body)) != nil {
		return
	}
	s.schedule.NonceBeacon, s.commit = bytes32(accept[4]), exchange.Seed(bytes32(accept[6]))
	if session, ok := accept[3].([]byte); ok && len(session) == len(s.schedule.Session) {
		s.schedule.Session = exchange.Session(session)
	}
	if ciphertext, ok := accept[5].([]byte); ok {
		s.schedule.KEMSecret, _ = s.key.Decapsulate(ciphertext)
	}
}

func bytes32(v any) (out [32]byte) {
	if b, ok := v.([]byte); ok {
		copy(out[:], b)
	}
	return out
}

// hastyPort sends prepared answers for as long as a session's path is open.
type hastyPort struct {
	timing.Port
	ears    *shoulder
	tally   *Tally
	running sync.WaitGroup

	mu   sync.Mutex
	next uint16   // the first round whose challenge has not come
	last [16]byte // the newest challenge
}

// Open implements timing.Port.
func (p *hastyPort) Open(s exchange.Session, peer net.Addr, h timing.Handler) (timing.Path, error) {
	path, err := p.Port.Open(s, peer, func(packet *exchange.Packet, r stamp.Receipt) {
		p.mu.Lock()
		if packet.Kind() == exchange.CH && packet.Index() >= p.next {
			p.next, p.last = packet.Index()+1, [16]byte(packet[offValue:offTag])
		}
		p.mu.Unlock()
		h(packet, r)
	})
	if err != nil {
		return nil, err
	}
	key, err := answerKey(p.ears.schedule)
	if err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	p.running.Go(func() { p.prepare(path, s, key, stop) })
	return &hastyPath{Path: path, stop: sync.OnceFunc(func() { close(stop) })}, nil
}

// prepare sends answers to every guess, round by round, beat by beat.
func (p *hastyPort) prepare(path timing.Path, s exchange.Session, key []byte, stop <-chan struct{}) {
	beat := time.NewTicker(hastyBeat)
	defer beat.Stop()
	for {
		p.mu.Lock()
		next, last := p.next, p.last
		p.mu.Unlock()
		for i := next; i < next+hastyAhead; i++ {
			value := own.Seed().Value(s, i)
			for _, guess := range [][16]byte{exchange.Seed{}.Value(s, i), p.ears.commit.Value(s, i), last} {
				packet := exchange.Packet(answer(s, i, guess, value, key))
				if _, err := path.Send(&packet); err == nil {
					p.tally.Add("prepared", 1)
				}
			}
		}
		select {
		case <-stop:
			return
		case <-beat.C:
		}
	}
}

// hastyPath stops the prepared answers when the session is over.
type hastyPath struct {
	timing.Path
	stop func()
}

// Close implements timing.Path.
func (p *hastyPath) Close() error {
	p.stop()
	return p.Path.Close()
}
