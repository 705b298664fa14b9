package server

import (
	"context"
	"net/http"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
)

func (s *Server) step(ctx context.Context, binding [32]byte, body []byte) answer {
	payload, signer, a := s.open(ctx, api.TypeStep, body, api.MaxQuestion)
	if a.status != http.StatusOK {
		return a
	}
	q, err := api.DecodeStepRequest(payload)
	if err != nil {
		return no(http.StatusBadRequest, grant.RefusedRequest, err.Error())
	}
	if a, ok := bound(signer, q.Core, binding, q.Binding); !ok {
		return a
	}
	k, err := s.cfg.Gate.StepKey(ctx, grant.StepQuestion{Core: q.Core, RequestID: q.RequestID, Step: q.Step, Previous: q.Previous, Usage: q.Usage.Lock()})
	if err != nil {
		return s.trouble(err)
	}
	out, err := api.StepAnswer{Step: q.Step, Key: k}.Encode()
	if err != nil {
		return s.trouble(err)
	}
	return answer{status: http.StatusOK, body: out}
}

func (s *Server) burn(ctx context.Context, binding [32]byte, body []byte) answer {
	payload, signer, a := s.open(ctx, api.TypeBurn, body, api.MaxQuestion)
	if a.status != http.StatusOK {
		return a
	}
	q, err := api.DecodeBurnRequest(payload)
	if err != nil {
		return no(http.StatusBadRequest, grant.RefusedRequest, err.Error())
	}
	if a, ok := bound(signer, q.Core, binding, q.Binding); !ok {
		return a
	}
	r, err := s.cfg.Gate.Burn(ctx, grant.BurnQuestion{Core: q.Core, ID: q.ID, Units: lock.Units(q.Units)})
	if err != nil {
		return s.trouble(err)
	}
	out, err := api.BurnReceipt{Index: r.Index, Leaf: r.Leaf}.Encode()
	if err != nil {
		return s.trouble(err)
	}
	s.cfg.Log.Info("burn", "core", q.Core.Short(), "units", q.Units)
	return answer{status: http.StatusOK, body: out}
}

func (s *Server) token(ctx context.Context, binding [32]byte, body []byte) answer {
	payload, signer, a := s.open(ctx, api.TypeToken, body, api.MaxQuestion)
	if a.status != http.StatusOK {
		return a
	}
	q, err := api.DecodeTokenRequest(payload)
	if err != nil {
		return no(http.StatusBadRequest, grant.RefusedRequest, err.Error())
	}
	if a, ok := bound(signer, q.Core, binding, q.Binding); !ok {
		return a
	}
	c, err := s.cfg.Gate.Token(ctx, grant.TokenQuestion{Core: q.Core, RequestID: q.RequestID, Audience: q.Audience, Nonce: q.Nonce})
	if err != nil {
		return s.trouble(err)
	}
	var out []byte
	switch q.Form {
	case api.FormJWT:
		var text string
		text, err = s.cfg.Tokens.JWT(c)
		out = []byte(text)
	case api.FormEAT:
		out, err = s.cfg.Tokens.EAT(c)
	default:
		return no(http.StatusBadRequest, grant.RefusedRequest, "the form of a token is jwt or eat")
	}
	if err != nil {
		return no(http.StatusForbidden, grant.RefusedToken, err.Error())
	}
	if out, err = (api.TokenAnswer{Token: out}).Encode(); err != nil {
		return s.trouble(err)
	}
	s.cfg.Log.Info("token", "core", q.Core.Short(), "form", q.Form)
	return answer{status: http.StatusOK, body: out}
}
