package drive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing"
	"github.com/ursa-virtual/ursa/beacon/timing/drive"
	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
)

// scripted is a machine that does what the test says.
type scripted struct {
	step  func(ev int) (exchange.Output, error)
	steps int
}

func (m *scripted) Step(stamp.Instant, exchange.Event) (exchange.Output, error) {
	m.steps++
	return m.step(m.steps)
}

// noPort opens nothing but counts.
type noPort struct {
	timing.Port
	opened, closed atomic.Int32
	err            error
}

type noPath struct {
	timing.Path
	port *noPort
}

func (p *noPort) Open(exchange.Session, net.Addr, timing.Handler) (timing.Path, error) {
	if p.err != nil {
		return nil, p.err
	}
	p.opened.Add(1)
	return noPath{port: p}, nil
}

func (p noPath) Close() error { p.port.closed.Add(1); return nil }

// pipes returns both ends of a stream.
func pipes() (net.Conn, net.Conn) { return net.Pipe() }

func TestEndsOfARun(t *testing.T) {
	failure := errors.New("machine refuses")
	session := exchange.Session{1}
	for _, c := range []struct {
		name   string
		step   func(n int) (exchange.Output, error)
		port   *noPort
		other  func(net.Conn) // what the other side does
		cancel bool
		want   error
	}{
		{"done at once", func(int) (exchange.Output, error) { return exchange.Output{Done: true, Wake: stamp.Never}, nil }, &noPort{}, nil, false, nil},
		{"machine refuses", func(int) (exchange.Output, error) { return exchange.Output{Wake: stamp.Never}, failure }, &noPort{}, nil, false, failure},
		{"refuses after opening a path", func(n int) (exchange.Output, error) {
			if n > 1 {
				return exchange.Output{Wake: stamp.Never}, failure
			}
			return exchange.Output{Listen: &session, Wake: 0}, nil
		}, &noPort{}, nil, false, failure},
		{"port refuses", func(int) (exchange.Output, error) { return exchange.Output{Listen: &session, Wake: stamp.Never}, nil },
			&noPort{err: timing.ErrClosed}, nil, false, timing.ErrClosed},
		{"context ends", func(int) (exchange.Output, error) { return exchange.Output{Wake: stamp.Never}, nil }, &noPort{}, nil, true, context.Canceled},
		{"stream ends", func(int) (exchange.Output, error) { return exchange.Output{Wake: stamp.Never}, nil }, &noPort{},
			func(c net.Conn) { _ = c.Close() }, false, drive.ErrStream},
		{"message too long", func(int) (exchange.Output, error) { return exchange.Output{Wake: stamp.Never}, nil }, &noPort{},
			func(c net.Conn) { _, _ = c.Write([]byte{1, 0xff, 0xff, 0xff, 0xff}) }, false, exchange.ErrMessageSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := pipes()
				defer func() { _ = near.Close() }()
				defer func() { _ = far.Close() }()
				if c.other != nil {
					go c.other(far)
				}
				go func() { _, _ = io.Copy(io.Discard, far) }()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancel {
					go func() { time.Sleep(time.Second); cancel() }()
				}
				err := drive.Run(ctx, drive.Config{Machine: &scripted{step: c.step}, Stream: near, Port: c.port})
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if c.port.opened.Load() != c.port.closed.Load() {
					t.Errorf("%d paths opened, %d closed", c.port.opened.Load(), c.port.closed.Load())
				}
			})
		})
	}
}

// TestRefusalIsTold: whatever ends the exchange here, the other side reads why.
func TestRefusalIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipes()
		defer func() { _ = near.Close() }()
		defer func() { _ = far.Close() }()
		told := make(chan []byte, 1)
		go func() {
			msg, _ := drive.ReadMessage(far)
			told <- msg
		}()
		refuse := func(int) (exchange.Output, error) { return exchange.Output{Wake: stamp.Never}, exchange.ErrExpired }
		err := drive.Run(t.Context(), drive.Config{Machine: &scripted{step: refuse}, Stream: near, Port: &noPort{}})
		if !errors.Is(err, exchange.ErrExpired) {
			t.Error(err)
		}
		if msg := <-told; !bytes.Equal(msg, exchange.Refusal(exchange.ErrExpired)) {
			t.Errorf("told %x", msg)
		}
	})
}

// TestDeadlines: a machine that wants to be woken is woken then and not before.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipes()
		defer func() { _ = near.Close() }()
		defer func() { _ = far.Close() }()
		begun := time.Now()
		at := timing.Now().Add(3 * time.Second)
		step := func(n int) (exchange.Output, error) { return exchange.Output{Wake: at, Done: n > 1}, nil }
		if err := drive.Run(t.Context(), drive.Config{Machine: &scripted{step: step}, Stream: near, Port: &noPort{}}); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("woken after %v", took)
		}
	})
}

// FuzzReadMessage: what is read is a prefix of what came, of a known kind and within its limit, or nothing.
func FuzzReadMessage(f *testing.F) {
	f.Add(exchange.Refusal(exchange.ErrBusy))
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		msg, err := drive.ReadMessage(bytes.NewReader(b))
		if err != nil {
			if msg != nil {
				t.Fatal("a message and an error")
			}
			return
		}
		if !bytes.HasPrefix(b, msg) || len(msg) > exchange.MaxMessage {
			t.Fatalf("%d bytes read of %d", len(msg), len(b))
		}
	})
}
