package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/ursa-virtual/ursa/lockgate/token"
)

func claims() token.Claims {
	now := time.Now()
	return token.Claims{Subject: strings.Repeat("ab", 32), Audience: "vault", ID: "t-1", Nonce: "0123456789", IssuedAt: now,
		Expires: now.Add(time.Minute), Policy: strings.Repeat("01", 32), Permit: "EU27+CH", PermitHash: strings.Repeat("02", 32),
		Jurisdictions: []string{"AT", "DE"}, Speed: "vacuum", F: 1, Platform: "sim", Proof: strings.Repeat("03", 32)}
}

func newKey(t testing.TB, alg token.Algorithm) *token.Key {
	t.Helper()
	k, err := token.NewKey(alg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issuer serves its documents over TLS at its own name, as it must.
func issuer(t *testing.T, k *token.Key, old ...*token.Key) (*token.Issuer, context.Context, string) {
	t.Helper()
	var h http.Handler
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	i, err := token.NewIssuer(web.URL, k, old...)
	if err != nil {
		t.Fatal(err)
	}
	if h, err = i.Handler(); err != nil {
		t.Fatal(err)
	}
	return i, oidc.ClientContext(t.Context(), web.Client()), web.URL
}

// TestRelyingPartyAcceptsUnchanged: the library that relying parties use finds
// keys by discovery and verifies the token, with nothing said of this project.
func TestRelyingPartyAcceptsUnchanged(t *testing.T) {
	for _, alg := range []token.Algorithm{token.ES256, token.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			k := newKey(t, alg)
			i, ctx, url := issuer(t, k)
			raw, err := i.JWT(claims())
			if err != nil {
				t.Fatal(err)
			}
			provider, err := oidc.NewProvider(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			algs := []string{string(alg)}
			tok, err := provider.Verifier(&oidc.Config{ClientID: "vault", SupportedSigningAlgs: algs}).Verify(ctx, raw)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Verdict       string   `json:"ursa_verdict"`
				Permit        string   `json:"ursa_permit"`
				Jurisdictions []string `json:"ursa_jurisdictions"`
				F             int      `json:"ursa_f"`
			}
			if err := tok.Claims(&got); err != nil || got.Verdict != "Inside" || got.Permit != "EU27+CH" || len(got.Jurisdictions) != 2 || got.F != 1 {
				t.Fatalf("%+v %v", got, err)
			}
			if tok.Subject != claims().Subject || tok.Nonce != "0123456789" || tok.Issuer != url {
				t.Errorf("%+v", tok)
			}
			if _, err := provider.Verifier(&oidc.Config{ClientID: "somebody else", SupportedSigningAlgs: algs}).Verify(ctx, raw); err == nil {
				t.Error("accepted by another audience")
			}
			later := func() time.Time { return time.Now().Add(2 * time.Minute) }
			if _, err := provider.Verifier(&oidc.Config{ClientID: "vault", SupportedSigningAlgs: algs, Now: later}).Verify(ctx, raw); err == nil {
				t.Error("accepted after its end")
			}
			parts := strings.Split(raw, ".")
			body := []byte(parts[1])
			body[40] ^= 1 // still a letter or digit, most of the time; refused either way
			forged := parts[0] + "." + string(body) + "." + parts[2]
			if _, err := provider.Verifier(&oidc.Config{ClientID: "vault", SupportedSigningAlgs: algs}).Verify(ctx, forged); err == nil {
				t.Error("accepted a forged token")
			}
		})
	}
}

func TestKeysCanBeReplaced(t *testing.T) {
	was, is := newKey(t, token.ES256), newKey(t, token.EdDSA)
	i, ctx, url := issuer(t, is, was)
	before, err := token.NewIssuer(url, was)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oidc.NewProvider(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	v := provider.Verifier(&oidc.Config{ClientID: "vault", SupportedSigningAlgs: []string{"ES256", "EdDSA"}})
	for name, from := range map[string]*token.Issuer{"the old": before, "the new": i} {
		raw, err := from.JWT(claims())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(ctx, raw); err != nil {
			t.Errorf("%s key: %v", name, err)
		}
	}
	if stranger, err := token.NewIssuer(url, newKey(t, token.ES256)); err != nil {
		t.Fatal(err)
	} else if raw, err := stranger.JWT(claims()); err != nil {
		t.Fatal(err)
	} else if _, err := v.Verify(ctx, raw); err == nil {
		t.Error("a key that is not shown was accepted")
	}
}

// public reads the public half from the key's own file.
func public(t *testing.T, k *token.Key) crypto.PublicKey {
	t.Helper()
	text, err := k.EncodePEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	p, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return p.(crypto.Signer).Public()
}

// TestEATVerifies: an independent COSE library verifies the CBOR form.
func TestEATVerifies(t *testing.T) {
	for alg, id := range map[token.Algorithm]cose.Algorithm{token.ES256: cose.AlgorithmES256, token.EdDSA: cose.AlgorithmEdDSA} {
		k := newKey(t, alg)
		i, _, url := issuer(t, k)
		raw, err := i.EAT(claims())
		if err != nil {
			t.Fatal(err)
		}
		v, err := cose.NewVerifier(id, public(t, k))
		if err != nil {
			t.Fatal(err)
		}
		var msg cose.Sign1Message
		if err := msg.UnmarshalCBOR(raw); err != nil {
			t.Fatal(err)
		}
		if err := msg.Verify(nil, v); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		var got map[int]any
		if err := cbor.Unmarshal(msg.Payload, &got); err != nil {
			t.Fatal(err)
		}
		if got[1] != url || got[3] != "vault" || got[265] != token.EATProfile || got[-70001] != "Inside" {
			t.Errorf("%v", got)
		}
		raw[len(raw)-1] ^= 1
		if err := msg.UnmarshalCBOR(raw); err == nil && msg.Verify(nil, v) == nil {
			t.Errorf("%s: a flipped bit was accepted", alg)
		}
	}
}

func TestRefusals(t *testing.T) {
	i, _, _ := issuer(t, newKey(t, token.ES256))
	for name, tt := range map[string]struct {
		do   func(*token.Claims)
		want error
	}{
		"no subject":    {func(c *token.Claims) { c.Subject = "" }, token.ErrClaims},
		"no audience":   {func(c *token.Claims) { c.Audience = "" }, token.ErrClaims},
		"ends at once":  {func(c *token.Claims) { c.Expires = c.IssuedAt }, token.ErrClaims},
		"lives an hour": {func(c *token.Claims) { c.Expires = c.IssuedAt.Add(time.Hour) }, token.ErrTTL},
	} {
		c := claims()
		tt.do(&c)
		if _, err := i.JWT(c); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := i.EAT(c); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := claims()
	c.Nonce = "short"
	if _, err := i.EAT(c); !errors.Is(err, token.ErrClaims) {
		t.Error(err)
	}
	for _, bad := range []string{"http://gate", "gate", "https://", "https://gate?x", "https://a@gate"} {
		if _, err := token.NewIssuer(bad, newKey(t, token.ES256)); !errors.Is(err, token.ErrIssuer) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := token.NewKey("HS256", nil); !errors.Is(err, token.ErrAlgorithm) {
		t.Error(err)
	}
}

func TestKeyFiles(t *testing.T) {
	for _, alg := range []token.Algorithm{token.ES256, token.EdDSA} {
		k := newKey(t, alg)
		text, err := k.EncodePEM()
		if err != nil {
			t.Fatal(err)
		}
		back, err := token.ParsePEM(text)
		if err != nil || back.String() != k.String() {
			t.Fatal(back, err)
		}
		if _, err := token.ParsePEM(append(text, 'x')); !errors.Is(err, token.ErrKey) {
			t.Error(err)
		}
		var secret string
		switch s := signerOf(t, text).(type) {
		case *ecdsa.PrivateKey:
			b, err := s.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			secret = fmt.Sprintf("%x", b)
		case ed25519.PrivateKey:
			secret = fmt.Sprintf("%x", s.Seed())
		}
		if shown := fmt.Sprintf("%v %+v %#v %x", k, k, k, k); strings.Contains(shown, secret) {
			t.Error("the key shows itself")
		}
	}
	if _, err := token.ParsePEM(nil); !errors.Is(err, token.ErrKey) {
		t.Error(err)
	}
}

func signerOf(t *testing.T, text []byte) any {
	t.Helper()
	block, _ := pem.Decode(text)
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
