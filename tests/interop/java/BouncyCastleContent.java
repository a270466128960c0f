// Bouncy Castle writes and reads what CMS does to a content, for the interop tests.
//
//   FOLDER STEP...        each step is words joined by commas: a verb, its files, its algorithm
//
//   compress,IN,OUT       CompressedData           expand,IN,OUT        and back
//   undigest,IN,OUT       DigestedData, checked
//   mac,NAME,MAC,DIGEST,IN,OUT                     AuthenticatedData for NAME.crt; without
//                                                  attributes where DIGEST is none
//   unmac,NAME,IN,OUT     and back with NAME.key, checked
//   encrypt,CIPHER,KEY,IN,OUT                      EncryptedData; its new key goes to KEY
//   seal,NAME,CIPHER,IN,OUT                        AuthEnvelopedData with attributes
//   unseal,NAME,IN,OUT    any enveloped data, and back; its attributes go to OUT.attributes
//
// A line per step: its last word, then done, or refused and why.

import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Hashtable;
import java.util.Map;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.DERUTF8String;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSAuthenticatedData;
import org.bouncycastle.cms.CMSAuthenticatedDataGenerator;
import org.bouncycastle.cms.CMSCompressedData;
import org.bouncycastle.cms.CMSCompressedDataGenerator;
import org.bouncycastle.cms.CMSDigestedData;
import org.bouncycastle.cms.CMSEncryptedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.SimpleAttributeTableGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceCMSMacCalculatorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthenticatedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.ZlibCompressor;
import org.bouncycastle.cms.jcajce.ZlibExpanderProvider;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

public class BouncyCastleContent {
    static final Map<String, ASN1ObjectIdentifier> NAMED = Map.of(
        "hmac-sha256", PKCSObjectIdentifiers.id_hmacWithSHA256,
        "hmac-sha384", PKCSObjectIdentifiers.id_hmacWithSHA384,
        "hmac-sha512", PKCSObjectIdentifiers.id_hmacWithSHA512,
        "sha256", NISTObjectIdentifiers.id_sha256,
        "sha512", NISTObjectIdentifiers.id_sha512,
        "aes-128-cbc", CMSAlgorithm.AES128_CBC,
        "aes-256-cbc", CMSAlgorithm.AES256_CBC,
        "aes-128-gcm", CMSAlgorithm.AES128_GCM,
        "aes-256-gcm", CMSAlgorithm.AES256_GCM,
        "aes-256-ccm", CMSAlgorithm.AES256_CCM);

    static Path folder;

    public static void main(String[] given) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        folder = Path.of(given[0]);
        for (int at = 1; at < given.length; at++) {
            String[] words = given[at].split(",");
            String told;
            try {
                step(words);
                told = "done";
            } catch (Exception problem) {
                told = "refused: " + problem;
            }
            System.out.println(words[words.length - 1] + " " + told);
        }
    }

    static void step(String[] words) throws Exception {
        byte[] in = Files.readAllBytes(folder.resolve(words[words.length - 2]));
        String out = words[words.length - 1];
        byte[] made;
        switch (words[0]) {
            case "compress":
                made = new CMSCompressedDataGenerator()
                    .generate(new CMSProcessableByteArray(in), new ZlibCompressor()).getEncoded();
                break;
            case "expand":
                made = new CMSCompressedData(in).getContent(new ZlibExpanderProvider());
                break;
            case "undigest":
                CMSDigestedData digested = new CMSDigestedData(in);
                demand(digested.verify(digests()), "the digest differs");
                made = (byte[]) digested.getDigestedContent().getContent();
                break;
            case "mac":
                made = mac(words[1], words[2], words[3], in);
                break;
            case "unmac":
                made = unmac(words[1], in);
                break;
            case "encrypt":
                OutputEncryptor encryptor = new JceCMSContentEncryptorBuilder(NAMED.get(words[1]))
                    .setProvider("BC").build();
                made = new CMSEncryptedDataGenerator()
                    .generate(new CMSProcessableByteArray(in), encryptor).toASN1Structure().getEncoded();
                Files.write(folder.resolve(words[2]),
                    (byte[]) encryptor.getKey().getRepresentation());
                break;
            case "seal":
                made = seal(words[1], words[2], in);
                break;
            case "unseal":
                made = unseal(words[1], in, out);
                break;
            default:
                throw new IllegalArgumentException(words[0]);
        }
        Files.write(folder.resolve(out), made);
    }

    static DigestCalculatorProvider digests() throws Exception {
        return new JcaDigestCalculatorProviderBuilder().setProvider("BC").build();
    }

    static byte[] mac(String name, String mac, String digest, byte[] in) throws Exception {
        CMSAuthenticatedDataGenerator generator = new CMSAuthenticatedDataGenerator();
        generator.addRecipientInfoGenerator(
            new JceKeyTransRecipientInfoGenerator(certificate(name)).setProvider("BC"));
        var calculator = new JceCMSMacCalculatorBuilder(NAMED.get(mac)).setProvider("BC").build();
        var content = new CMSProcessableByteArray(in);
        CMSAuthenticatedData made = digest.equals("none")
            ? generator.generate(content, calculator)
            : generator.generate(content, calculator,
                digests().get(new AlgorithmIdentifier(NAMED.get(digest))));
        return made.getEncoded();
    }

    static byte[] unmac(String name, byte[] in) throws Exception {
        CMSAuthenticatedData message = new CMSAuthenticatedData(in, digests());
        RecipientInformation reader = message.getRecipientInfos().getRecipients().iterator().next();
        byte[] content = reader.getContent(
            new JceKeyTransAuthenticatedRecipient(key(name)).setProvider("BC"));
        demand(MessageDigest.isEqual(message.getMac(), reader.getMac()), "the MAC differs");
        AttributeTable attributes = message.getAuthAttrs();
        if (attributes != null) {
            byte[] said = org.bouncycastle.asn1.ASN1OctetString.getInstance(
                attributes.get(CMSAttributes.messageDigest).getAttrValues().getObjectAt(0))
                .getOctets();
            demand(MessageDigest.isEqual(said, reader.getContentDigest()), "the digest differs");
        }
        return content;
    }

    static byte[] seal(String name, String cipher, byte[] in) throws Exception {
        CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
        generator.addRecipientInfoGenerator(
            new JceKeyTransRecipientInfoGenerator(certificate(name)).setProvider("BC"));
        Hashtable<ASN1ObjectIdentifier, Attribute> attributes = new Hashtable<>();
        // Both orders of writing: DER puts the short one first.
        for (String text : new String[] {"a longer text of an attribute", "short"}) {
            ASN1ObjectIdentifier type = new ASN1ObjectIdentifier("1.3.6.1.4.1.99999." + text.length());
            attributes.put(type, new Attribute(type, new DERSet(new DERUTF8String(text))));
        }
        generator.setAuthenticatedAttributeGenerator(
            new SimpleAttributeTableGenerator(new AttributeTable(attributes)));
        generator.setUnauthenticatedAttributeGenerator(
            new SimpleAttributeTableGenerator(new AttributeTable(attributes)));
        OutputAEADEncryptor encryptor = (OutputAEADEncryptor)
            new JceCMSContentEncryptorBuilder(NAMED.get(cipher)).setProvider("BC").build();
        return generator.generate(new CMSProcessableByteArray(in), encryptor).toASN1Structure().getEncoded();
    }

    static byte[] unseal(String name, byte[] in, String out) throws Exception {
        ContentInfo info = ContentInfo.getInstance(in);
        if (info.getContentType().equals(PKCSObjectIdentifiers.envelopedData)) {
            CMSEnvelopedData message = new CMSEnvelopedData(in);
            attributes(message.getUnprotectedAttributes(), out);
            return message.getRecipientInfos().getRecipients().iterator().next()
                .getContent(new JceKeyTransEnvelopedRecipient(key(name)).setProvider("BC"));
        }
        CMSAuthEnvelopedData message = new CMSAuthEnvelopedData(in);
        attributes(message.getAuthAttrs(), out);
        return message.getRecipientInfos().getRecipients().iterator().next()
            .getContent(new JceKeyTransAuthEnvelopedRecipient(key(name)).setProvider("BC"));
    }

    static void attributes(AttributeTable found, String out) throws Exception {
        Files.write(folder.resolve(out + ".attributes"),
            found == null ? new byte[0] : new DERSet(found.toASN1EncodableVector()).getEncoded());
    }

    static X509Certificate certificate(String name) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509", "BC").generateCertificate(
            new ByteArrayInputStream(Files.readAllBytes(folder.resolve(name + ".crt"))));
    }

    static PrivateKey key(String name) throws Exception {
        return KeyFactory.getInstance("RSA", "BC").generatePrivate(
            new PKCS8EncodedKeySpec(Files.readAllBytes(folder.resolve(name + ".key"))));
    }

    static void demand(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }
}
