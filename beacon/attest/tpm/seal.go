package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// ErrSealed reports a secret that this TPM does not give out: it was sealed by another, or to other registers.
var ErrSealed = errors.New("TPM does not open the sealed secret: another machine, another boot chain, or another program than it was sealed to")

// MaxSealed bounds a sealed secret in bytes; MaxSecret what can be sealed.
const (
	MaxSealed = 4 << 10
	MaxSecret = 128
)

// sealed is a secret that only one TPM can open, and only while its registers are as they were.
type sealed struct {
	Version uint64 `cbor:"1,keyasint"`
	Private []byte `cbor:"2,keyasint"` // TPM2B_PRIVATE's content
	Public  []byte `cbor:"3,keyasint"` // TPMT_PUBLIC
}

// sealRegisters are the registers to which secrets are sealed: those of the boot that measurements name, and our own.
func sealRegisters() tpm2.TPMLPCRSelection {
	var list []uint
	for _, i := range append(append([]int{}, DefaultBootPCRs...), OwnPCR) {
		list = append(list, uint(i))
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(list...)}}}
}

// Seal encrypts a secret (1 to MaxSecret bytes) so that only this TPM gives it out, and only after the same boot with the same program
// measured: call Measure before. With the passphrase of a key file sealed so, the key is in the clear nowhere but in the memory of the
// measured program on this machine.
func (m *Machine) Seal(secret []byte) ([]byte, error) {
	if len(secret) == 0 || len(secret) > MaxSecret {
		return nil, fmt.Errorf("sealing %d bytes: 1 to %d can be sealed", len(secret), MaxSecret)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	policy, err := m.sealPolicy()
	if err != nil {
		return nil, err
	}
	parent, err := m.storage()
	if err != nil {
		return nil, err
	}
	defer m.flush(parent)
	out, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: parent.handle, Name: parent.name, Auth: tpm2.PasswordAuth(nil)},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret})}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: policy,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true}}),
	}.Execute(m.tpm)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return canon.Marshal(sealed{1, out.OutPrivate.Buffer, out.OutPublic.Bytes()})
}

// Unseal opens what Seal made, or says ErrSealed.
func (m *Machine) Unseal(data []byte) ([]byte, error) {
	var s sealed
	if err := canon.Unmarshal(data, &s, MaxSealed); err != nil || s.Version != 1 {
		return nil, fmt.Errorf("%w: not a sealed secret", ErrSealed)
	}
	public, err := parsePublic(s.Public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	parent, err := m.storage()
	if err != nil {
		return nil, err
	}
	defer m.flush(parent)
	item, err := tpm2.Load{ParentHandle: tpm2.AuthHandle{Handle: parent.handle, Name: parent.name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate: tpm2.TPM2BPrivate{Buffer: s.Private}, InPublic: tpm2.New2B(*public)}.Execute(m.tpm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	defer m.flush(loadedKey{handle: item.ObjectHandle})
	out, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: item.ObjectHandle, Name: item.Name,
		Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(t transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
			_, err := tpm2.PolicyPCR{PolicySession: session, Pcrs: sealRegisters()}.Execute(t)
			return err
		})}}.Execute(m.tpm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return out.OutData.Buffer, nil
}

// storage makes the storage key, the same after every boot.
func (m *Machine) storage() (loadedKey, error) {
	out, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(m.tpm)
	if err != nil {
		return loadedKey{}, fmt.Errorf("making the storage key: %w", err)
	}
	return loadedKey{handle: out.ObjectHandle, name: out.Name}, nil
}

// sealPolicy lets the TPM compute the policy of the present registers.
func (m *Machine) sealPolicy() (tpm2.TPM2BDigest, error) {
	session, end, err := tpm2.PolicySession(m.tpm, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		return tpm2.TPM2BDigest{}, fmt.Errorf("opening a trial session: %w", err)
	}
	defer func() { _ = end() }()
	if _, err := (tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: sealRegisters()}).Execute(m.tpm); err != nil {
		return tpm2.TPM2BDigest{}, fmt.Errorf("binding to registers: %w", err)
	}
	digest, err := tpm2.PolicyGetDigest{PolicySession: session.Handle()}.Execute(m.tpm)
	if err != nil {
		return tpm2.TPM2BDigest{}, err
	}
	return digest.PolicyDigest, nil
}
