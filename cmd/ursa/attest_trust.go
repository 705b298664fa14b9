package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	hardware "github.com/ursa-virtual/ursa/beacon/attest/platforms"
	"github.com/ursa-virtual/ursa/beacon/attest/snp"
	"github.com/ursa-virtual/ursa/beacon/attest/tdx"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// trustFlags say whose evidence counts.
type trustFlags struct {
	roots, enrollers []string
	collateralFlags
}

func (f *trustFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.roots, "root", nil, "`FILE` in PEM with manufacturers' root certificates; sev-snp and tdx have AMD's and Intel's built in")
	cmd.Flags().StringSliceVar(&f.enrollers, "enroller", nil, "tpm: public key `FILE` of an appraiser whose enrolments count")
	f.collateralFlags.register(cmd)
}

// collateralFlags are what manufacturers say about their machines after these were sold.
type collateralFlags struct {
	crls, tcbInfo      []string
	needCRL, noTCBInfo bool
}

func (f *collateralFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.crls, "crl", nil, "`FILE` with a manufacturer's revocation list, DER or PEM")
	cmd.Flags().BoolVar(&f.needCRL, "need-crl", false, "refuse certificates whose issuer has no list among --crl")
	cmd.Flags().StringSliceVar(&f.tcbInfo, "tcb-info", nil, "tdx: `DIR` with tcb-info.json, tcb-info-issuers.pem, qe-identity.json and qe-identity-issuers.pem, one for each family of processors")
	cmd.Flags().BoolVar(&f.noTCBInfo, "no-tcb-info", false, "tdx: accept platforms without Intel's word that they are up to date")
}

// lists reads the manufacturers' revocation lists.
func (f *collateralFlags) lists() (attest.CRLs, error) {
	crls := attest.CRLs{Required: f.needCRL}
	for _, name := range f.crls {
		list, err := readCRL(name)
		if err != nil {
			return crls, err
		}
		crls.Lists = append(crls.Lists, list)
	}
	return crls, nil
}

// config is what stands beside a directory, which says itself whose roots and enrolments count.
func (f *collateralFlags) config() (c hardware.Config, err error) {
	c.WithoutTCBInfo = f.noTCBInfo
	if c.CRLs, err = f.lists(); err != nil {
		return c, err
	}
	c.Collateral, err = f.collateral()
	return c, err
}

// verifier makes the verifier of one platform.
func (f *trustFlags) verifier(p attest.Platform) (attest.Verifier, error) {
	roots, err := readCertificates(f.roots)
	if err != nil {
		return nil, err
	}
	crls, err := f.lists()
	if err != nil {
		return nil, err
	}
	switch p {
	case attest.TPM:
		return f.tpmVerifier(roots, crls)
	case attest.SEVSNP:
		if len(roots) > 0 {
			return nil, usagef("--root: AMD's roots are built in; nothing else signs such reports")
		}
		amd, err := snp.EmbeddedRoots(snp.Products...)
		if err != nil {
			return nil, err
		}
		return snp.NewVerifier(snp.VerifierConfig{Roots: amd, CRLs: crls})
	case attest.TDX:
		return f.tdxVerifier(roots, crls)
	}
	return nil, fmt.Errorf("%w: %q; known here: tpm, sev-snp, tdx", attest.ErrNoVerifier, p)
}

func (f *trustFlags) tpmVerifier(roots []*x509.Certificate, crls attest.CRLs) (attest.Verifier, error) {
	if len(roots) == 0 || len(f.enrollers) == 0 {
		return nil, usagef("evidence of a TPM: say --root FILE (the manufacturer's) and --enroller FILE (the appraiser's public key)")
	}
	c := tpm.VerifierConfig{Endorsement: tpm.Endorsement{Roots: roots, CRLs: crls}}
	for _, name := range f.enrollers {
		p, err := readPublic(name, identity.RoleAppraiser)
		if err != nil {
			return nil, err
		}
		c.Enrollers = append(c.Enrollers, p.Key)
	}
	return tpm.NewVerifier(c)
}

func (f *trustFlags) tdxVerifier(roots []*x509.Certificate, crls attest.CRLs) (attest.Verifier, error) {
	c := tdx.VerifierConfig{Roots: roots, CRLs: crls, WithoutTCBInfo: f.noTCBInfo}
	if len(roots) == 0 {
		intel, err := tdx.IntelRoot()
		if err != nil {
			return nil, err
		}
		c.Roots = []*x509.Certificate{intel}
	}
	var err error
	if c.Collateral, err = f.collateral(); err != nil {
		return nil, err
	}
	return tdx.NewVerifier(c)
}

// collateral reads Intel's word about processors.
func (f *collateralFlags) collateral() ([]tdx.Collateral, error) {
	var out []tdx.Collateral
	for _, dir := range f.tcbInfo {
		var x tdx.Collateral
		for _, file := range []struct {
			name string
			into *[]byte
		}{{"tcb-info.json", &x.TCBInfo}, {"tcb-info-issuers.pem", &x.TCBInfoIssuers}, {"qe-identity.json", &x.QEIdentity}, {"qe-identity-issuers.pem", &x.QEIdentityIssuers}} {
			data, err := readLimited(filepath.Join(dir, file.name), maxSmallFile)
			if err != nil {
				return nil, fmt.Errorf("--tcb-info: %w", err)
			}
			*file.into = data
		}
		out = append(out, x)
	}
	return out, nil
}

// errNoCertificate reports a PEM file without what it should hold.
var errNoCertificate = errors.New("holds no certificate in PEM")

func readCertificates(names []string) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, name := range names {
		data, err := readLimited(name, maxSmallFile)
		if err != nil {
			return nil, err
		}
		before := len(out)
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out = append(out, c)
		}
		if len(out) == before {
			return nil, fmt.Errorf("%s %w", name, errNoCertificate)
		}
	}
	return out, nil
}

func readCRL(name string) (*x509.RevocationList, error) {
	data, err := readLimited(name, attest.MaxSigned)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}
