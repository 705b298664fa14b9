package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// The two ends speak lines of JSON over the child's standard input and output: one request, one reply.

// request tells the other end what to do.
type request struct {
	Do        verb              `json:"do"`
	CPU       int               `json:"cpu,omitempty"`
	Procs     int               `json:"procs,omitempty"`
	Letter    *letter           `json:"letter,omitempty"`
	Path      exchange.PathKind `json:"path,omitempty"`
	Mode      exchange.Mode     `json:"mode,omitempty"`
	Echo      echoKind          `json:"echo,omitempty"`
	Addresses []string          `json:"addresses,omitempty"`
	Session   string            `json:"session,omitempty"`
	Count     int               `json:"count,omitempty"`
	Parallel  int               `json:"parallel,omitempty"`
	Batch     int               `json:"batch,omitempty"`
	Signed    bool              `json:"signed,omitempty"`
	Beacon    []byte            `json:"beacon,omitempty"` // the public key that must have signed
}

// reply is what it did.
type reply struct {
	Error   string `json:"error,omitempty"`
	Address string `json:"address,omitempty"`
	Count   int    `json:"count,omitempty"`
}

// verb is a kind of request.
type verb string

const (
	doSit       verb = "sit"       // move to CPU with Procs
	doLetter    verb = "letter"    // take Letter and be its core
	doEcho      verb = "echo"      // answer Addresses[0] with an echo of kind Echo
	doKnock     verb = "knock"     // be an echo for whoever stands behind Addresses[0], and say hello first
	doOpen      verb = "open"      // open the socket of Path in Mode
	doRounds    verb = "rounds"    // echo rounds of Session from Addresses[0] on Path
	doSessions  verb = "sessions"  // run Count exchanges with each of Addresses on Path, Parallel at a time
	doHandshake verb = "handshake" // shake hands Count times with Addresses[0], Parallel at a time
	doAsk       verb = "ask"       // send Count requests to Addresses[0], twice Batch under way, and verify what is Signed
)

// Peer is the other end. It reads requests until the input ends, and closes what it opened.
func Peer(in io.Reader, out io.Writer) error {
	clock, err := timing.HostClock()
	if err != nil {
		return err
	}
	p := &far{clock: clock, hosts: map[hostKey]*host{}}
	defer p.close()
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q request
		if err := requests.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: %w", ErrPeer, err)
		}
		r, err := p.do(q)
		if err != nil {
			r.Error = err.Error()
		}
		if err := replies.Encode(r); err != nil {
			return fmt.Errorf("%w: %w", ErrPeer, err)
		}
	}
}

// far is the state of the other end.
type far struct {
	clock   stamp.Clock
	world   *world
	hosts   map[hostKey]*host
	closers []func()
}

type hostKey struct {
	path exchange.PathKind
	mode exchange.Mode
}

func (p *far) close() {
	for _, c := range p.closers {
		c()
	}
	for _, h := range p.hosts {
		h.close()
	}
}

func (p *far) do(q request) (reply, error) {
	if q.Do != doSit && q.Do != doLetter && q.Do != doOpen && len(q.Addresses) == 0 {
		return reply{}, fmt.Errorf("%w: %q needs an address", ErrPeer, q.Do)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch q.Do {
	case doSit:
		_, err := sit(q.CPU, q.Procs)
		return reply{}, err
	case doLetter:
		return reply{}, p.read(q.Letter)
	case doEcho:
		address, stop, err := startEcho(q.Echo, q.Addresses[0])
		if err == nil {
			p.closers = append(p.closers, stop)
		}
		return reply{Address: address}, err
	case doKnock:
		stop, err := knock(q.Addresses[0])
		if err == nil {
			p.closers = append(p.closers, stop)
		}
		return reply{}, err
	case doOpen:
		h, err := p.host(q)
		if err != nil {
			return reply{}, err
		}
		return reply{Address: h.address()}, nil
	case doRounds:
		return reply{}, p.echoRounds(q)
	case doSessions:
		return p.sessions(ctx, q)
	case doHandshake:
		return p.handshakes(ctx, q)
	case doAsk:
		n, err := askMany(ctx, q)
		return reply{Count: n}, err
	}
	return reply{}, fmt.Errorf("%w: unknown request %q", ErrPeer, q.Do)
}

func (p *far) read(l *letter) error {
	if l == nil {
		return fmt.Errorf("%w: letter missing", ErrPeer)
	}
	w := &world{letter: *l}
	if err := w.read(time.Now()); err != nil {
		return err
	}
	p.world = w
	return nil
}

// host returns the host of a path and mode, opening it the first time.
func (p *far) host(q request) (*host, error) {
	key := hostKey{q.Path, q.Mode}
	if h := p.hosts[key]; h != nil {
		return h, nil
	}
	h, err := openHost(q.Path, p.clock, q.Mode)
	if err == nil {
		p.hosts[key] = h
	}
	return h, err
}

// echoRounds answers a session's packets with themselves, without a machine.
func (p *far) echoRounds(q request) error {
	h, err := p.host(q)
	if err != nil {
		return err
	}
	if h.port == nil {
		return fmt.Errorf("%w: path %v has no port without a connection", ErrPeer, q.Path)
	}
	if err := h.wake(); err != nil {
		return err
	}
	to, err := net.ResolveUDPAddr("udp4", q.Addresses[0])
	if err != nil {
		return err
	}
	opened := make(chan struct{})
	var path timing.Path
	path, err = h.port.Open(sessionOf(q.Session), to, func(packet *exchange.Packet, _ stamp.Receipt) {
		<-opened
		_, _ = path.Send(packet)
	})
	close(opened)
	return err
}

// sessionOf names a session of the echo on a port.
func sessionOf(name string) (s exchange.Session) {
	copy(s[:], name)
	return s
}

// each calls do count times for every address, so many at a time, until one fails.
func each(addresses []string, count, parallel int, do func(address string) error) error {
	tickets, failed := make(chan string), make(chan struct{})
	var first error
	var fail sync.Once
	var working sync.WaitGroup
	for range max(1, parallel) {
		working.Go(func() {
			for address := range tickets {
				if err := do(address); err != nil {
					fail.Do(func() { first = err; close(failed) })
					return
				}
			}
		})
	}
	func() {
		defer close(tickets)
		for range count {
			for _, address := range addresses {
				select {
				case tickets <- address:
				case <-failed:
					return
				}
			}
		}
	}()
	working.Wait()
	return first
}

func (p *far) sessions(ctx context.Context, q request) (reply, error) {
	if p.world == nil {
		return reply{}, fmt.Errorf("%w: no letter yet", ErrPeer)
	}
	h, err := p.host(q)
	if err != nil {
		return reply{}, err
	}
	err = each(q.Addresses, q.Count, q.Parallel, func(address string) error {
		_, err := p.world.coreSide(ctx, h, q.Mode, address)
		return err
	})
	return reply{Count: q.Count * len(q.Addresses)}, err
}

// handshakes opens connections and closes them again.
func (p *far) handshakes(ctx context.Context, q request) (reply, error) {
	h, err := p.host(q)
	if err != nil {
		return reply{}, err
	}
	to, err := net.ResolveUDPAddr("udp4", q.Addresses[0])
	if err != nil {
		return reply{}, err
	}
	err = each(q.Addresses, q.Count, q.Parallel, func(string) error {
		conn, err := h.transport.Dial(ctx, to, channel.ClientTLS(), channel.QUIC(-1, false))
		if err != nil {
			return err
		}
		<-conn.HandshakeComplete()
		_ = conn.CloseWithError(0, "")
		return nil
	})
	return reply{Count: q.Count}, err
}

// peer is the near side's handle on the other end.
type peer struct {
	process  *exec.Cmd
	stdin    io.WriteCloser
	requests *json.Encoder
	replies  *json.Decoder
}

// startPeer starts the other end.
func startPeer(process *exec.Cmd) (*peer, error) {
	stdin, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("starting the other end: %w", err)
	}
	return &peer{process: process, stdin: stdin, requests: json.NewEncoder(stdin), replies: json.NewDecoder(bufio.NewReader(stdout))}, nil
}

// call sends one request and waits for its reply. One call at a time.
func (p *peer) call(q request) (reply, error) {
	var r reply
	if err := p.requests.Encode(q); err != nil {
		return r, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	if err := p.replies.Decode(&r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	if r.Error != "" {
		return r, fmt.Errorf("%w: %s: %s", ErrPeer, q.Do, r.Error)
	}
	return r, nil
}

// close ends the other end by ending its input, and by force if that does not help.
func (p *peer) close() {
	_ = p.stdin.Close()
	timer := time.AfterFunc(3*time.Second, func() { _ = p.process.Process.Kill() })
	_ = p.process.Wait()
	timer.Stop()
}
