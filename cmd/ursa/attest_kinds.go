package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/spell"
)

// The kinds of file that `ursa attest` reads and writes.
const (
	kindEvidence    = "evidence"
	kindResult      = "an attestation result"
	kindManifest    = "a manifest"
	kindRevocations = "a revocation list"
	kindEnrolment   = "an enrolment"
	kindJSON        = "JSON"
)

// attestKind says of which kind a file is, by its form; empty when it is of none.
func attestKind(data []byte) string {
	if isJSON(data) {
		return kindJSON
	}
	if _, err := attest.DecodeEvidence(data); err == nil {
		return kindEvidence
	}
	if _, _, err := attest.DecodeResult(data); err == nil {
		return kindResult
	}
	if _, _, err := attest.DecodeManifest(data); err == nil {
		return kindManifest
	}
	if _, _, err := attest.DecodeRevocations(data); err == nil {
		return kindRevocations
	}
	if _, _, err := tpm.DecodeRecord(data); err == nil {
		return kindEnrolment
	}
	return ""
}

// isJSON says whether a text is meant to be JSON: nothing else here begins with a brace or a bracket.
func isJSON(data []byte) bool {
	text := bytes.TrimLeft(data, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// mistaken replaces the refusal of a file that is of another kind than wanted: somebody gave the wrong one.
func mistaken(data []byte, want string, err error) error {
	kind := attestKind(data)
	switch {
	case err == nil || kind == "" || kind == want:
		return err
	case kind == kindJSON && (want == kindManifest || want == kindRevocations):
		return fmt.Errorf("it is JSON, not %s: a draft must be signed first", want)
	}
	return fmt.Errorf("it is %s, not %s", kind, want)
}

// unknownFile says why a file cannot be shown.
func unknownFile(name string, data []byte) error {
	if attestKind(data) == kindJSON {
		return fmt.Errorf("%s is JSON, which can be read as it is; 'ursa attest manifest sign' and 'ursa attest revoke sign' make signed files of drafts", name)
	}
	return fmt.Errorf("%s %w", name, errUnknownFile)
}

func revocationRows(l attest.Revocations, signers []identity.ID) rows {
	var r rows
	r.add("kind", "revocation list, not verified")
	r.add("sequence", "%d", l.Sequence)
	r.add("issued", "%s", instant(l.IssuedUnixNS))
	r.add("expires", "%s", instant(l.ExpiresUnixNS))
	for i, m := range l.Machines {
		r.add(fmt.Sprintf("machine %d", i+1), "%x", m)
	}
	for i, m := range l.Measurements {
		r.add(fmt.Sprintf("code %d", i+1), "%s", hex.EncodeToString(m))
	}
	for i, m := range l.Credentials {
		r.add(fmt.Sprintf("credential %d", i+1), "%x", m)
	}
	for i, s := range signers {
		r.add(fmt.Sprintf("signer %d", i+1), "%s", s)
	}
	return r
}

// platformNames are the platforms of which there is evidence.
func platformNames() []string {
	out := []string{string(attest.Sim), string(attest.TPM), string(attest.SEVSNP), string(attest.TDX)}
	for _, host := range []attest.Platform{attest.SEVSNP, attest.TDX} {
		out = append(out, string(attest.LinkedPlatform(host, attest.TPM)))
	}
	return out
}

// checkPlatform refuses a platform that nothing attests: a slip of the pen would be signed, and accept nothing.
func checkPlatform(name string) error {
	known := platformNames()
	if slices.Contains(known, name) {
		return nil
	}
	if near := spell.Nearest(name, 2, known); near != "" {
		return fmt.Errorf("platform %q is unknown: did you mean %s?", name, near)
	}
	return fmt.Errorf("platform %q is unknown: the platforms are %s", name, strings.Join(known, ", "))
}
