package relay

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

var errFull = errors.New("relay: no session left")

// session is one client: its own socket towards the server, so that the server tells clients apart by their ports, and its own
// sources of chance.
type session struct {
	conn   net.PacketConn
	client net.Addr
	up     lane // used by serveClients alone
	down   lane // used by the session's own goroutine alone
	used   atomic.Int64
}

// touch notes that the session is in use; without, it ends after Idle.
func (s *session) touch(now time.Duration) { s.used.Store(int64(now)) }

// sessionOf returns the session of a client, a new one for a new client.
func (r *Relay) sessionOf(client net.Addr) (*session, error) {
	key, err := addrPort(client)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[key]; s != nil {
		return s, nil
	}
	if r.closed || len(r.sessions) >= r.cfg.Sessions {
		return nil, errFull
	}
	conn, err := r.cfg.Dial()
	if err != nil {
		return nil, err
	}
	r.opened++
	s := &session{
		conn: conn, client: client,
		up:   newLane(r.cfg.Up, r.cfg.Seed, "up", r.opened),
		down: newLane(r.cfg.Down, r.cfg.Seed, "down", r.opened),
	}
	s.touch(r.line.Now())
	r.sessions[key] = s
	r.tasks.Go(func() {
		r.serveServer(s)
		r.mu.Lock()
		delete(r.sessions, key)
		r.mu.Unlock()
		_ = conn.Close()
	})
	return s, nil
}

// maxErrors in a row end a session: its socket is broken.
const maxErrors = 100

// serveServer reads what the server answers to one client, until the session has been idle or its socket is closed.
func (r *Relay) serveServer(s *session) {
	buf := make([]byte, 65536)
	for failures := 0; failures < maxErrors; {
		idleAt := r.line.Time(time.Duration(s.used.Load()) + r.cfg.Idle)
		if s.conn.SetReadDeadline(idleAt) != nil {
			return
		}
		n, from, err := s.conn.ReadFrom(buf)
		now := r.line.Now()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			if now-time.Duration(s.used.Load()) >= r.cfg.Idle {
				return
			}
			continue
		case err != nil: // such as an unreachable server, told by ICMP
			failures++
			r.count.errors.Add(1)
			continue
		}
		failures = 0
		if src, err := addrPort(from); err != nil || src != r.server {
			r.count.strangers.Add(1)
			continue
		}
		s.touch(now)
		r.forward(&s.down, now, buf[:n], packet{via: r.cfg.Clients, to: s.client, sent: &r.count.down})
	}
}
