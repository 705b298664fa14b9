package token

import (
	"encoding/json"
	"net/http"
)

// The paths that relying parties ask for (OpenID Connect Discovery 1.0).
const (
	PathDiscovery = "/.well-known/openid-configuration"
	PathKeys      = "/.well-known/jwks.json"
)

// Handler shows what a relying party needs: the discovery document and the
// public keys. It belongs on an address with a certificate that relying parties
// know, which is that of the issuer's name.
func (i *Issuer) Handler() (http.Handler, error) {
	keys := []map[string]string{}
	algs := []string{}
	for _, k := range append([]*Key{i.key}, i.old...) {
		jwk, err := k.jwk()
		if err != nil {
			return nil, err
		}
		jwk["kid"] = k.id
		keys = append(keys, jwk)
		algs = append(algs, string(k.alg))
	}
	jwks, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		return nil, err
	}
	discovery, err := json.Marshal(map[string]any{
		"issuer": i.url, "jwks_uri": i.url + PathKeys, "id_token_signing_alg_values_supported": algs,
		"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		"claims_supported": []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "ursa_verdict", "ursa_policy", "ursa_permit",
			"ursa_permit_hash", "ursa_jurisdictions", "ursa_speed", "ursa_f", "ursa_platform", "ursa_proof"},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for path, body := range map[string][]byte{PathDiscovery: discovery, PathKeys: jwks} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "public, max-age=300")
			_, _ = w.Write(body)
		})
	}
	return mux, nil
}
