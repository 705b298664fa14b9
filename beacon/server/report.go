package server

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/timing"
)

// Stats is what a beacon has done since it was made.
type Stats struct {
	Statements     uint64 // exchanges that ended with a signed statement
	Countersigned  uint64 // of these, those whose countersignature came back
	Refused        uint64 // exchanges and handshakes that were refused or failed
	InProgress     int    // exchanges now
	Handshakes     int64  // unfinished handshakes now
	RefusedReasons map[string]uint64
	Packets        timing.Stats // of the socket's round packets; zero for PathDatagram
}

// counters count outcomes. Reasons are the texts of sentinel errors, so there are few.
type counters struct {
	mu                        sync.Mutex
	statements, countersigned uint64
	refused                   map[string]uint64
}

func (c *counters) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[string]uint64{}
	}
	c.refused[reason(err)]++
}

// reason is the text of the sentinel that an error wraps, or "other".
func reason(err error) string {
	if sentinel := exchange.Reason(err); sentinel != nil {
		return sentinel.Error()
	}
	return "other"
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	out := Stats{
		Statements: s.stats.statements, Countersigned: s.stats.countersigned,
		InProgress: s.rooms.occupied(), Handshakes: s.pending.Load(), RefusedReasons: map[string]uint64{},
	}
	for k, v := range s.stats.refused {
		out.RefusedReasons[k] = v
		out.Refused += v
	}
	if port := s.port.Load(); port != nil {
		out.Packets = (*port).Stats()
	}
	return out
}

// report counts and logs the end of one exchange. A statement that was signed stands, even if the countersignature never came.
func (s *Server) report(conn *quic.Conn, b *exchange.Beacon, err error) {
	log := s.cfg.Log.With("beacon", s.id.Short(), "peer", conn.RemoteAddr().String())
	var result exchange.BeaconResult
	signed := false
	if b != nil {
		result, signed = b.Result()
	}
	if !signed {
		s.stats.refuse(err)
		log.Info("exchange refused", "reason", reason(err), "error", errorText(err))
		return
	}
	countersigned := len(result.Countersignature) > 0
	s.stats.mu.Lock()
	s.stats.statements++
	if countersigned {
		s.stats.countersigned++
	}
	s.stats.mu.Unlock()
	st := result.Statement
	log.Info("statement signed", "core", st.Core.Short(), "rounds_sent", st.RoundsSent, "rounds_ok", st.RoundsOK,
		"rtt_beacon_min_ns", st.RTTBeaconMinNS, "rtt_core_min_ns", st.RTTCoreMinNS, "flags", st.Flags.String(),
		"unstable", result.Unstable, "countersigned", countersigned)
}

// errorText keeps what the other side wrote out of the log's structure: it is a value, never a key.
func errorText(err error) slog.Value {
	var theirs *exchange.RefusedError
	if errors.As(err, &theirs) {
		return slog.StringValue("peer refused: code " + slog.IntValue(int(theirs.Code)).String())
	}
	if err == nil {
		return slog.StringValue("")
	}
	return slog.StringValue(err.Error())
}
