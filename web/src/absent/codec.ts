/** Stands in for the codecs of chunked stores that NiiVue could load: this page never opens one, and they weigh a megabyte. */
export default null;
