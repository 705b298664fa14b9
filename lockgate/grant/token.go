package grant

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/ursa-virtual/ursa/lockgate/token"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// TokenQuestion asks for a token about the verdict behind a core's newest lease.
// That the core signed it has been checked by whoever made it.
type TokenQuestion struct {
	Core      identity.ID
	RequestID [16]byte // of the request that was answered with the lease
	Audience  string
	Nonce     string
}

// RefusedToken is the check on what a token is asked for.
const RefusedToken = "token"

// maxNonce bounds what a core may have signed into a token.
const maxNonce = 256

// Token is what may be said of a core now: its newest lease is out, was granted
// by this process, and still stands. The token ends with the lease at the latest.
// A *Denial is a definite no.
func (g *Gate) Token(ctx context.Context, q TokenQuestion) (token.Claims, error) {
	a, err := g.cfg.Store.Account(ctx, q.Core)
	if err != nil {
		if name, no := refusal(err); no {
			return token.Claims{}, g.deny(ctx, name, plain(err))
		}
		return token.Claims{}, err
	}
	if by, why := g.off(a); by != "" {
		return token.Claims{}, g.deny(ctx, by, why)
	}
	now := g.cfg.Now()
	r, ok := g.book.lease(q.Core, q.RequestID)
	switch {
	case !slices.Contains(g.cfg.Audiences, q.Audience):
		return token.Claims{}, g.deny(ctx, RefusedToken, fmt.Sprintf("no tokens are made here for %q", q.Audience))
	case len(q.Nonce) > maxNonce:
		return token.Claims{}, g.deny(ctx, RefusedToken, "the nonce is too long")
	case !ok || !now.Before(r.until):
		return token.Claims{}, g.deny(ctx, RefusedToken, "no lease of yours is out; ask for one first")
	case r.halted != "":
		return token.Claims{}, g.deny(ctx, RefusedRevoked, r.halted)
	}
	var id [16]byte
	if _, err := io.ReadFull(g.cfg.Entropy, id[:]); err != nil {
		return token.Claims{}, fmt.Errorf("grant: no entropy: %w", err)
	}
	ends := now.Add(token.MaxTTL)
	if r.until.Before(ends) {
		ends = r.until
	}
	p := r.c.Policy
	permit := r.c.Revoked.Permit(p.Permit)
	out := token.Claims{Subject: q.Core.String(), Audience: q.Audience, ID: hex.EncodeToString(id[:]), Nonce: q.Nonce, IssuedAt: now, Expires: ends,
		Policy: hex.EncodeToString(r.c.Expect.PolicyHash[:]), Permit: permit, Speed: p.Speed, F: *p.F, Platform: r.f.Platform,
		Proof: hex.EncodeToString(r.f.Verified.Hash[:])}
	if r.permitHash != ([32]byte{}) {
		out.PermitHash = hex.EncodeToString(r.permitHash[:])
	}
	if t, ok := r.f.Verdict.Touches(); ok {
		out.Jurisdictions = t
	}
	return out, nil
}
