package tpm

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// loadedKey is a key inside the TPM.
type loadedKey struct {
	handle      tpm2.TPMHandle
	name        tpm2.TPM2BName
	public      []byte // TPMT_PUBLIC
	certificate []byte // DER, of the endorsement key
	persistent  bool
}

func (m *Machine) flush(k loadedKey) {
	if !k.persistent {
		_, _ = tpm2.FlushContext{FlushHandle: k.handle}.Execute(m.tpm) // nothing useful can be done about an error
	}
}

func (m *Machine) attestationKey() (loadedKey, error) {
	return m.primary(akTemplate())
}

func (m *Machine) primary(template tpm2.TPMTPublic) (loadedKey, error) {
	out, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(m.tpm)
	if err != nil {
		return loadedKey{}, fmt.Errorf("making a key in the TPM: %w", err)
	}
	return loadedKey{handle: out.ObjectHandle, name: out.Name, public: out.OutPublic.Bytes()}, nil
}

// endorsementPolicy satisfies the policy of the TCG's default endorsement keys: TPM2_PolicySecret(TPM_RH_ENDORSEMENT).
func endorsementPolicy(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: session, NonceTPM: nonce}.Execute(t)
	return err
}

// The places of endorsement certificates and keys, low range (TCG EK Credential Profile, "low range").
var endorsements = []struct {
	certificate, key tpm2.TPMHandle
	template         tpm2.TPMTPublic
}{
	{0x01c0000a, 0x81010002, tpm2.ECCEKTemplate},
	{0x01c00002, 0x81010001, tpm2.RSAEKTemplate},
}

// certificate finds the first endorsement certificate and which place it was in.
func (m *Machine) certificate() (der []byte, place int, err error) {
	for i, e := range endorsements {
		der, err := m.readNV(e.certificate)
		if err == nil {
			return der, i, nil
		}
		if !errors.Is(err, tpm2.TPMRCHandle) {
			return nil, 0, fmt.Errorf("reading the endorsement certificate: %w", err)
		}
	}
	return nil, 0, ErrNoCertificate
}

// endorsement loads the endorsement key of the certificate: the persistent one, or the one that the default template makes.
func (m *Machine) endorsement() (loadedKey, error) {
	der, place, err := m.certificate()
	if err != nil {
		return loadedKey{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return loadedKey{}, fmt.Errorf("endorsement certificate: %w", err)
	}
	if out, err := (tpm2.ReadPublic{ObjectHandle: endorsements[place].key}).Execute(m.tpm); err == nil {
		k := loadedKey{handle: endorsements[place].key, name: out.Name, public: out.OutPublic.Bytes(), certificate: der, persistent: true}
		if _, err := checkEK(k.public, cert); err == nil {
			return k, nil
		}
	}
	k, err := m.primary(endorsements[place].template)
	if err != nil {
		return loadedKey{}, err
	}
	k.certificate = der
	if _, err := checkEK(k.public, cert); err != nil {
		m.flush(k)
		return loadedKey{}, err
	}
	return k, nil
}

// readNV reads an index that anybody may read, in pieces that every TPM gives.
func (m *Machine) readNV(index tpm2.TPMHandle) ([]byte, error) {
	area, err := tpm2.NVReadPublic{NVIndex: index}.Execute(m.tpm)
	if err != nil {
		return nil, err
	}
	public, err := area.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	out := make([]byte, 0, public.DataSize)
	for len(out) < int(public.DataSize) {
		part, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: area.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: area.NVName},
			Size:       uint16(min(512, int(public.DataSize)-len(out))), Offset: uint16(len(out)),
		}.Execute(m.tpm)
		if err != nil {
			return nil, err
		}
		if len(part.Data.Buffer) == 0 {
			return nil, fmt.Errorf("%w: empty read", ErrResponse)
		}
		out = append(out, part.Data.Buffer...)
	}
	return trimDER(out), nil
}

// trimDER cuts what stands after a DER value: makers reserve more room than they fill.
func trimDER(b []byte) []byte {
	if len(b) < 4 || b[0] != 0x30 || b[1] != 0x82 {
		return b
	}
	if n := 4 + int(b[2])<<8 + int(b[3]); n <= len(b) {
		return b[:n]
	}
	return b
}
