// Package drive is the thin shell around one machine of package exchange, the same for both sides: it reads messages from a stream,
// packets from a port and the time, hands each to Step, and does what Step says.
//
// What it promises. One lock makes every step one after the other. A packet is answered on the goroutine that read it, before that
// goroutine reads again; messages are written elsewhere, so a slow stream never delays a packet. A departure is reported in the same
// critical section as the send, so no answer can be handled before it. Whatever ends the exchange, the other side is told why, once.
//
// What an attacker may do. He may send nothing, garbage, or messages byte by byte: the machine's own deadlines end the exchange,
// and at most one message of bounded size is in memory.
package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// Machine is one side of an exchange.
type Machine interface {
	Step(now stamp.Instant, ev exchange.Event) (exchange.Output, error)
}

// Stream is the reliable channel of the slow phase; *quic.Stream is one.
type Stream interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Config says what a run drives.
type Config struct {
	Machine Machine
	Stream  Stream
	Port    timing.Port
	Peer    net.Addr
	// Now is the monotonic clock of time-outs; nil is timing.Now.
	Now func() stamp.Instant
	// Stepped is called after each step under the run's lock, for progress and metrics; it must be quick. Nil is nothing.
	Stepped func(exchange.Output)
}

// farewell bounds the writing of the last message.
const farewell = 2 * time.Second

// ErrStream says that the stream ended or failed before the exchange did.
var ErrStream = errors.New("stream ended before the exchange did")

// Run drives the machine until it is done (nil), refuses, or ctx ends.
func Run(ctx context.Context, cfg Config) error {
	r := &run{Config: cfg, poke: make(chan struct{}, 1), outbox: make(chan []byte, 4), wake: stamp.Never}
	if r.Now == nil {
		r.Now = timing.Now
	}
	defer r.unlisten()
	inbox := make(chan message)
	readCtx, stopReading := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { readMessages(readCtx, cfg.Stream, inbox) })
	err := r.loop(ctx, inbox)
	if err != nil {
		r.farewell(err)
	}
	stopReading()
	_ = cfg.Stream.SetReadDeadline(time.Unix(1, 0))
	reading.Wait()
	_ = cfg.Stream.SetReadDeadline(time.Time{})
	return err
}

type run struct {
	Config
	mu     sync.Mutex
	wake   stamp.Instant
	path   timing.Path
	listen exchange.Session
	done   bool
	err    error
	poke   chan struct{}
	outbox chan []byte
}

// loop runs in the caller's goroutine: time, messages in, messages out.
func (r *run) loop(ctx context.Context, inbox <-chan message) error {
	r.step(exchange.Start())
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if err := r.flush(); err != nil {
			return err
		}
		done, wake, err := r.status()
		if done || err != nil {
			return err
		}
		if wake == stamp.Never {
			timer.Stop()
		} else {
			timer.Reset(max(0, wake.Sub(r.Now())))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			r.step(exchange.Tick())
		case <-r.poke:
		case m := <-inbox:
			if m.err != nil {
				return m.err
			}
			r.step(exchange.GotMessage(m.bytes))
		}
	}
}

func (r *run) status() (done bool, wake stamp.Instant, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done && len(r.outbox) == 0, r.wake, r.err
}

// flush writes the messages that steps left.
func (r *run) flush() error {
	for {
		select {
		case msg := <-r.outbox:
			_ = r.Stream.SetWriteDeadline(time.Now().Add(farewell))
			if _, err := r.Stream.Write(msg); err != nil {
				return fmt.Errorf("%w: writing: %w", ErrStream, err)
			}
		default:
			return nil
		}
	}
}

// farewell tells the other side why the exchange ends, if it can still hear.
func (r *run) farewell(err error) {
	if errors.Is(err, exchange.ErrRefused) || errors.Is(err, ErrStream) {
		return
	}
	if msg := exchange.Refusal(err); msg != nil {
		_ = r.Stream.SetWriteDeadline(time.Now().Add(farewell))
		_, _ = r.Stream.Write(msg)
	}
}

// packet is the port's handler: it runs on the goroutine that read the packet.
func (r *run) packet(p *exchange.Packet, receipt stamp.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.err != nil {
		return
	}
	if stamped := r.act(r.Machine.Step(r.Now(), exchange.GotPacket(p))); !stamped {
		return
	}
	at, _ := receipt.Arrival() // a refused stamp is the zero arrival, which costs the round
	r.act(r.Machine.Step(r.Now(), exchange.Arrived(at)))
}

// step hands one event to the machine and does what it says.
func (r *run) step(ev exchange.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.err != nil {
		return
	}
	r.act(r.Machine.Step(r.Now(), ev))
}

// act does what a step said and returns whether it asked for the packet's arrival.
func (r *run) act(out exchange.Output, err error) (stamped bool) {
	if err == nil {
		err = r.tune(out.Listen)
	}
	if err != nil {
		r.finish(err)
		return false
	}
	if out.Packet != nil && r.path != nil {
		out = r.send(out)
	}
	if out.Message != nil {
		select {
		case r.outbox <- out.Message:
		default:
			r.finish(fmt.Errorf("%w: messages pile up", ErrStream))
			return false
		}
	}
	if r.Stepped != nil && !out.Stamped {
		r.Stepped(out)
	}
	r.done = out.Done
	if out.Wake != r.wake || out.Message != nil || out.Done {
		r.wake = out.Wake
		r.nudge()
	}
	return out.Stamped
}

// send writes the packet and reports its departure. A write that fails (a full buffer, a route that is gone) loses the round
// and nothing else.
func (r *run) send(out exchange.Output) exchange.Output {
	departure, err := r.path.Send(out.Packet)
	if err != nil || !out.Timed {
		return out
	}
	after, err := r.Machine.Step(r.Now(), exchange.Departed(departure))
	if err == nil {
		out.Wake, out.Listen = after.Wake, after.Listen
	}
	return out
}

// tune opens or closes the path as the machine listens or not.
func (r *run) tune(listen *exchange.Session) error {
	switch {
	case listen == nil && r.path != nil:
		_ = r.path.Close()
		r.path = nil
	case listen != nil && r.path == nil:
		path, err := r.Port.Open(*listen, r.Peer, r.packet)
		if err != nil {
			return err
		}
		r.path, r.listen = path, *listen
	}
	return nil
}

func (r *run) unlisten() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
	_ = r.tune(nil)
}

func (r *run) finish(err error) {
	r.err = err
	_ = r.tune(nil)
	r.nudge()
}

func (r *run) nudge() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

type message struct {
	bytes []byte
	err   error
}

// readMessages reads whole messages until the stream or ctx ends. It holds one message at a time.
func readMessages(ctx context.Context, s io.Reader, inbox chan<- message) {
	for {
		b, err := ReadMessage(s)
		select {
		case inbox <- message{bytes: b, err: err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// ReadMessage reads one message of the slow phase, head and body. Its length is checked against its kind before it is allocated.
func ReadMessage(s io.Reader) ([]byte, error) {
	var head [exchange.HeadSize]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	_, n, err := exchange.ParseHead(head)
	if err != nil {
		return nil, err
	}
	b := make([]byte, exchange.HeadSize+n)
	copy(b, head[:])
	if _, err := io.ReadFull(s, b[exchange.HeadSize:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	return b, nil
}
