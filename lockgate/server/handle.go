package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// answer is what a handler came to: a body with 200, or a denial with a status.
type answer struct {
	status int
	body   []byte
	denial api.Denial
}

func no(status int, by, reason string) answer {
	return answer{status: status, denial: api.Denial{RefusedBy: by, Reason: reason}}
}

// guard holds everything that happens before a request is looked at, and writes
// the answer.
func (s *Server) guard(limit int64, handle func(ctx context.Context, binding [32]byte, body []byte) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		a := s.admit(w, r, limit, handle)
		s.cfg.Metrics.request(r.URL.Path, a.status, time.Since(begun))
		body := a.body
		if a.status != http.StatusOK {
			var err error
			if body, err = a.denial.Encode(); err != nil {
				a.status = http.StatusInternalServerError
			}
			s.cfg.Log.Info("refused", "path", r.URL.Path, "status", a.status, "by", a.denial.RefusedBy)
		}
		w.Header().Set("Content-Type", api.MediaType)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(a.status)
		_, _ = w.Write(body)
	}
}

func (s *Server) admit(w http.ResponseWriter, r *http.Request, limit int64, handle func(context.Context, [32]byte, []byte) answer) answer {
	if !s.cfg.TrustProxy && !s.buckets.take(r.RemoteAddr, time.Now()) {
		return no(http.StatusTooManyRequests, grant.RefusedRate, "too many requests from this address; wait a second")
	}
	if m, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || m != api.MediaType {
		return no(http.StatusUnsupportedMediaType, grant.RefusedRequest, "the body must be "+api.MediaType)
	}
	binding, err := api.Binding(r.TLS)
	if err != nil {
		return no(http.StatusUnauthorized, grant.RefusedBinding, err.Error())
	}
	if r.ContentLength > limit {
		return no(http.StatusRequestEntityTooLarge, grant.RefusedRequest, "the request is too large")
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Timeout)
	defer cancel()
	// A body that dribbles in is cut off at the deadline, not at the idle time-out.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.Timeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return no(http.StatusRequestEntityTooLarge, grant.RefusedRequest, "the request is too large")
		}
		return no(http.StatusBadRequest, grant.RefusedRequest, "the request did not arrive whole")
	}
	release, ok := s.enter(ctx)
	if !ok {
		return no(http.StatusServiceUnavailable, grant.RefusedBusy, "too many requests are under way; send it again later")
	}
	defer release()
	return handle(ctx, binding, body)
}

// enter waits for a place among the requests being verified.
func (s *Server) enter(ctx context.Context) (release func(), ok bool) {
	select {
	case s.queue <- struct{}{}:
	default:
		return nil, false
	}
	select {
	case s.places <- struct{}{}:
		return func() { <-s.places; <-s.queue }, true
	case <-ctx.Done():
		<-s.queue
		return nil, false
	}
}

// open authenticates a request: a signed envelope by an enrolled key.
func (s *Server) open(ctx context.Context, t identity.ObjectType, body []byte, limit int) (payload []byte, core identity.ID, a answer) {
	env, err := identity.DecodeEnvelope(body, limit)
	if err != nil {
		return nil, identity.ID{}, no(http.StatusBadRequest, grant.RefusedRequest, err.Error())
	}
	key, err := s.cfg.Gate.Key(ctx, env.Signer)
	if err != nil {
		return nil, identity.ID{}, s.trouble(err)
	}
	if payload, err = env.Open(key, t); err != nil {
		return nil, identity.ID{}, no(http.StatusUnauthorized, grant.RefusedSignature, err.Error())
	}
	return payload, env.Signer, answer{status: http.StatusOK}
}

// bound checks that a request is of its signer and for this connection.
func bound(signer, core identity.ID, binding, signed [32]byte) (answer, bool) {
	if signer != core {
		return no(http.StatusUnauthorized, grant.RefusedSignature, "signed by another core than it names"), false
	}
	if subtle.ConstantTimeCompare(binding[:], signed[:]) != 1 {
		return no(http.StatusUnauthorized, grant.RefusedBinding, "signed for another connection"), false
	}
	return answer{}, true
}

// trouble turns an error of the gate into an answer: a definite no, or nothing.
func (s *Server) trouble(err error) answer {
	var d *grant.Denial
	if errors.As(err, &d) {
		return no(http.StatusForbidden, d.RefusedBy, d.Reason)
	}
	s.cfg.Log.Error("trouble", "error", err)
	return no(http.StatusServiceUnavailable, grant.RefusedTransaction, "the gate cannot answer now; send the same request again")
}

func (s *Server) challenge(ctx context.Context, binding [32]byte, body []byte) answer {
	payload, signer, a := s.open(ctx, api.TypeQuestion, body, api.MaxQuestion)
	if a.status != http.StatusOK {
		return a
	}
	q, err := api.DecodeQuestion(payload)
	if err != nil {
		return no(http.StatusBadRequest, grant.RefusedRequest, err.Error())
	}
	if a, ok := bound(signer, q.Core, binding, q.Binding); !ok {
		return a
	}
	claim, err := q.Claim.LatLon()
	if err != nil {
		return no(http.StatusForbidden, grant.RefusedPlace, err.Error())
	}
	out, err := s.cfg.Gate.Challenge(ctx, grant.Question{Core: q.Core, Claim: claim, LockNonce: q.LockNonce, LockSeq: q.LockSeq})
	if err != nil {
		return s.trouble(err)
	}
	s.cfg.Log.Info("challenge", "core", q.Core.Short())
	return answer{status: http.StatusOK, body: out}
}

func (s *Server) lease(ctx context.Context, binding [32]byte, body []byte) answer {
	payload, signer, a := s.open(ctx, api.TypeRequest, body, api.MaxLeaseRequest)
	if a.status != http.StatusOK {
		return a
	}
	q, err := api.DecodeLeaseRequest(payload)
	if err != nil {
		return no(http.StatusBadRequest, grant.RefusedRequest, err.Error())
	}
	if a, ok := bound(signer, q.Core, binding, q.Binding); !ok {
		return a
	}
	r := grant.Request{Core: q.Core, RequestID: q.RequestID, LockNonce: q.LockNonce, LockSeq: q.LockSeq,
		Want: lock.Units(q.Want), Usage: q.Usage.Lock(), Burn: q.Burn, Proof: q.Proof}
	if s.cfg.Keep != nil {
		end, ok := s.turns.take(q.Core)
		if !ok {
			return no(http.StatusServiceUnavailable, grant.RefusedBusy, "another request of this core is under way; send the same request again")
		}
		defer end()
	}
	d, err := s.cfg.Gate.Grant(ctx, r)
	if err != nil {
		return s.trouble(err)
	}
	if s.cfg.Keep != nil {
		if err := s.cfg.Keep(r, d); err != nil && d.Granted {
			return s.trouble(err)
		}
	}
	if s.cfg.Decided != nil {
		s.cfg.Decided(r, d)
	}
	s.cfg.Metrics.decision(d)
	if !d.Granted {
		out := no(http.StatusForbidden, d.RefusedBy, d.Reason)
		if d.Finding.Judged {
			out.denial.Verdict = d.Finding.Verdict.Kind().String()
		}
		return out
	}
	s.cfg.Log.Info("lease", "core", q.Core.Short(), "units", uint64(d.Finding.Units), "repeated", d.Repeated)
	return answer{status: http.StatusOK, body: d.Lease}
}
